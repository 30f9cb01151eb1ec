-- run_deferred_work(ends, raise): a bounded part of what was put off: walks, builds that are restarted together with others, ends of builds.
--
-- Arguments ends: so many builds end at most; raise: heights as well, see run_propagations()
-- Returns   whether there is more
-- Notifies  propagations_left, if there is more
-- Locks     the caller holds the graph lock.
-- If one of them makes the database raise, that is a warning: what the caller has done counts all the same.
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

comment on function resolver.run_deferred_work(integer, boolean) is 'Goes on with walks and ends of builds; true when walks are left.';
revoke all on function resolver.run_deferred_work(integer, boolean) from public;
