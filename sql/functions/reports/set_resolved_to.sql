-- set_resolved_to(reports): reports the results of resolve: an array, one element for each claim:
--   {"lease", "samples": [[input drv, output, path]], "info",
--    "resolved": {"drv", "name", "system", "kind", "features", "prefer_local", "confirmed": [path],
--                 "outputs": [{"name", "path", "valid"}]}}
--   {"lease", "samples", "info", "resolved": {"drv", "written": false, "confirmed", "outputs"}}   all its wanted outputs are valid
--   {"lease", "samples", "resolved": null}     nothing had to be replaced: the derivation is built as it is
--   {"lease", "failed": {"class", "status", "message"}}
--
-- Returns   (lease, outcome, detail): done; retried: it failed, class transient, and is tried again; already; lease_lost; refused;
--           stale: a sampled path is no longer in force, the claim is over;
--           confirm: the resolved derivation has outputs (in detail) that the report did not confirm, or its .drv was not written
--           and a wanted output is missing; nothing was changed
-- Stages    resolvable -> resolved, buildable, realised, failed, waiting
-- Locks     the graph lock
create or replace function resolver.set_resolved_to(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports constant jsonb := resolver.compare_samples(p_reports);
begin
    return query select * from resolver.process_reports('resolved', v_reports);
    -- A resolution that is not in force was not accepted.
    delete from resolver.resolution r
     where r.released_at is not null and r.resolved = r.derivation
       and r.resolution in (select (e.report ->> 'resolution')::bigint from jsonb_array_elements(v_reports) e (report));
end
$$;

comment on function resolver.set_resolved_to(jsonb) is
    'Reports what derivations resolve to, for any number of claims; early cut-off happens here.';
