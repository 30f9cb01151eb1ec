-- clock(): returns the time that decides leases, deadlines and back-off. Tests replace this function to shift it.
create or replace function resolver.clock() returns timestamptz
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    return clock_timestamp();
end
$$;

comment on function resolver.clock() is 'The database''s clock: workers'' clocks decide nothing.';
