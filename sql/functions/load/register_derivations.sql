-- register_derivations(reports): what load found: an array, one element for each claim:
--   {"lease", "drv", "name", "system", "kind", "features", "prefer_local", "must_resolve", "info",
--    "outputs": [{"name", "path", "valid"}], "inputs": [{"drv", "outputs": [name]}],
--    "chains": [{"drv", "outputs": [name]}], only when it is dynamic: of inputs, the outputs of outputs that it needs}
--   {"lease", "drv", "failed": {"class", "status", "message"}}
-- An element with lease null was not claimed, but read ahead: it counts if its derivation is wanted by now, was never
-- loaded, is nobody's root, and is not claimed by anybody.
--
-- Returns   (lease, outcome, detail): done, already, lease_lost, refused
-- Stages    unloaded -> waiting, resolvable, buildable, realised, failed
-- Locks     the graph lock
create or replace function resolver.register_derivations(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports resolver.report[];
    v_next    resolver.report[];
begin
    perform resolver.lock_graph();
    v_reports := array(
        select row(r.lease, r.derivation, null, null,
                   case when r.outcome = 'open' and d.drv is distinct from r.body ->> 'drv' then 'refused'
                        when r.outcome = 'open' then 'done' else r.outcome end,
                   case when r.outcome = 'open' and d.drv is distinct from r.body ->> 'drv' then 'it is about another derivation' end,
                   r.digest, case when r.outcome = 'open' and d.drv = r.body ->> 'drv' then r.body end)::resolver.report
          from unnest(resolver.open_reports(
                   (select jsonb_agg(e.report) from jsonb_array_elements(p_reports) e (report)
                     where e.report ->> 'lease' is not null), 'load')) r
          left join resolver.derivation d on d.derivation = r.derivation);
    perform resolver.failpoint('register_derivations: judged');
    v_next := array(select r from unnest(v_reports) r where r.body is not null);
    perform resolver.close_leases(v_next);
    update resolver.derivation_state s set lease = null from unnest(v_next) r where s.derivation = r.derivation;
    loop
        perform resolver.register_loaded(v_next);
        v_next := resolver.reports_read_ahead(p_reports);
        exit when cardinality(v_next) = 0;
    end loop;
    perform resolver.continue_walks();
    perform resolver.record_ends(100);
    return query select r.lease, r.outcome, r.detail from unnest(v_reports) r;
end
$$;

comment on function resolver.register_derivations(jsonb) is
    'Reports what load found in .drv files and in the store, for any number of claims.';
