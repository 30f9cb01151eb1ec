-- run_deferred_work(ends, raise): does a bounded part of the deferred work: propagations, builds that are restarted with others, ends of builds.
--
-- Arguments ends: the number of builds that may end; raise: heights are raised as well, see run_propagations()
-- Returns   whether there is more
-- Notifies  propagations_left, if there is more
-- Locks     the caller holds the graph lock.
-- If a propagation or a restart raises an error, the error becomes a warning, and the caller's changes stay.
create or replace function resolver.run_deferred_work(p_ends integer, p_raise boolean default false) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_more boolean := false;
begin
    begin
        v_more := resolver.run_propagations(p_raise => p_raise);
        if not v_more and exists (select from resolver.failure f where f.is_reopening) then
            v_more := resolver.restart_affected_builds(50);
            v_more := resolver.run_propagations(p_raise => p_raise) or v_more;
        end if;
    exception when others then
        if resolver.is_transient_error(sqlstate) then
            raise;
        end if;
        raise warning 'walks over the graph stand still: %', sqlerrm using errcode = sqlstate;
    end;
    if resolver.record_ends(p_ends) = p_ends then
        v_more := true;
        perform pg_notify('propagations_left', '');
    end if;
    return v_more;
end
$$;

comment on function resolver.run_deferred_work(integer, boolean) is 'Continues propagations and ends of builds; true if there is more to do.';
revoke all on function resolver.run_deferred_work(integer, boolean) from public;
