-- finish_steps(reports): reports successful builds: an array, one element for each claim:
--   {"lease", "outputs": {name: path}, "info", "machine", "log", "overhead", "times_built", "non_deterministic",
--    "already_valid"}     the last: Nix had the outputs, and built nothing
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
begin
    return query select * from resolver.process_reports('finished', p_reports);
end
$$;

comment on function resolver.finish_steps(jsonb) is 'Reports builds that succeeded, for any number of claims.';
