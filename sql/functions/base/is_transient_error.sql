-- is_transient_error(sqlstate): returns whether an error is temporary: the same call may succeed later.
--
-- Deadlocks, time limits, lost connections, full disks, a read-only server, a server that shuts down.
create or replace function resolver.is_transient_error(p_sqlstate text) returns boolean
    language sql immutable
    set search_path = pg_catalog, pg_temp
as $$
    select left(p_sqlstate, 2) in ('08', '25', '40', '53', '54', '55', '57', '58', 'XX')
$$;

comment on function resolver.is_transient_error(text) is 'Whether an error is temporary: the same call may succeed later, as after a deadlock.';
revoke all on function resolver.is_transient_error(text) from public;
