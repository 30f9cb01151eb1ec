-- register_derivations(reports): reports the results of load: an array, one element for each claim:
--   {"lease", "drv", "name", "system", "kind", "features", "prefer_local", "must_resolve", "info",
--    "outputs": [{"name", "path", "valid"}], "inputs": [{"drv", "outputs": [name]}],
--    "chains": [{"drv", "outputs": [name]}], only if it is dynamic: the outputs of outputs of inputs that it needs}
--   {"lease", "drv", "more": true, "inputs"}   a part of its inputs, 1000 at most: the claim stays open
--   {"lease", "drv", "failed": {"class", "status", "message"}}
-- An element with lease null was read ahead, without a claim. It counts only if its derivation is wanted by now, was never
-- loaded, is the root of no build, and is not claimed.
--
-- Returns   (lease, outcome, detail): done; retried: it failed, class transient, and is tried again; already; lease_lost; refused
-- Stages    unloaded -> waiting, resolvable, buildable, realised, failed
-- Locks     the graph lock
create or replace function resolver.register_derivations(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query select * from resolver.process_reports('loaded', p_reports);
end
$$;

comment on function resolver.register_derivations(jsonb) is
    'Reports what load found in .drv files and in the store, for any number of claims.';
