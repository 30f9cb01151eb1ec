-- end_builds(): finishes builds whose end was deferred, since another transaction held their rows.
--
-- Returns   the number of builds that it finished.
-- Locks     the graph lock, only if there is something to do; rows of Builds in the order of ids, SKIP LOCKED
-- Notifies  build_finished
create or replace function resolver.end_builds() returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from resolver.goal g where g.ended_at is not null and g.recorded_at is null) then
        return 0;
    end if;
    perform resolver.failpoint('end_builds: there is something');
    perform resolver.lock_graph();
    return resolver.record_ends(100);
end
$$;

comment on function resolver.end_builds() is 'Finishes builds whose end could not be written at once.';
