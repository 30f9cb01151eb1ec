-- fail_steps(reports): builds that did not succeed: an array, one element for each claim:
--   {"lease", "status", "class", "message", "machine", "log", "overhead", "times_built", "non_deterministic"}
--
-- Returns   (lease, outcome, detail): done; retried: there will be another attempt; already; lease_lost; refused
-- Stages    building -> failed, buildable
-- Locks     the graph lock
-- Notifies  step_finished, build_finished
-- A transient failure is tried five times, 1, 3, 9 and 27 minutes after one another.
create or replace function resolver.fail_steps(p_reports jsonb)
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
            outcome := resolver.fail_one(lease, v_report);
        end if;
        return next;
    end loop;
    perform resolver.continue_walks();
    perform resolver.record_ends(100);
end
$$;

comment on function resolver.fail_steps(jsonb) is 'Reports builds that failed, for any number of claims.';
