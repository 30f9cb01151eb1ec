-- failpoint(point): does nothing. Tests replace it by one that waits there, to see what others can do in between.
create or replace function resolver.failpoint(p_point text) returns void
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select
$$;

comment on function resolver.failpoint(text) is 'A place where a race could open: nothing happens there, except in tests.';
