-- finish_steps(reports): builds that succeeded: an array, one element for each claim:
--   {"lease", "outputs": {name: path}, "info", "machine", "log", "overhead", "times_built", "non_deterministic"}
--
-- Returns   (lease, outcome, detail): done, already, lease_lost, refused
-- Stages    building -> realised, and all that follows
-- Locks     the graph lock
-- Notifies  step_finished, build_finished
-- The step row, the trace, followers, watchers, builds and notifications become visible together or not at all.
create or replace function resolver.finish_steps(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_report jsonb;
begin
    perform resolver.lock_graph();
    for v_report in select e.report from jsonb_array_elements(p_reports) e (report)
    loop
        lease := (v_report ->> 'lease')::bigint;
        detail := null;
        outcome := resolver.check_lease(lease, 'build', md5(v_report::text));
        if outcome = 'open' then
            detail := resolver.missing_outputs(lease, v_report -> 'outputs');
            if detail is null then
                perform resolver.finish_one(lease, v_report);
                outcome := 'done';
            else
                outcome := 'refused';
            end if;
        end if;
        return next;
    end loop;
    perform resolver.continue_walks();
    perform resolver.record_ends(100);
end
$$;

comment on function resolver.finish_steps(jsonb) is 'Reports builds that succeeded, for any number of claims.';
