-- failpoint(point): does nothing. Tests replace it by a function that waits, to see what other sessions can do meanwhile.
create or replace function resolver.failpoint(p_point text) returns void
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select
$$;

comment on function resolver.failpoint(text) is 'A place where a race is possible: nothing happens there, except in tests.';
