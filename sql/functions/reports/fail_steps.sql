-- fail_steps(reports): reports failed builds: an array, one element for each claim:
--   {"lease", "status", "class", "message", "machine", "log", "overhead", "times_built", "non_deterministic"}
--
-- Returns   (lease, outcome, detail): done; retried: there will be another attempt; already; lease_lost; refused
-- Stages    building -> failed, buildable, waiting (an input was lost meanwhile)
-- Locks     the graph lock
-- Notifies  step_finished, build_finished
-- A transient failure is tried five times, with back-offs of 1, 3, 9 and 27 minutes, unless resolver.setting says otherwise.
-- A worker reports class cancelled if it aborted the build since no build needed it: a later build that needs it has it built again.
create or replace function resolver.fail_steps(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select * from resolver.process_reports('failed', p_reports);
end
$$;

comment on function resolver.fail_steps(jsonb) is 'Reports builds that failed, for any number of claims.';
