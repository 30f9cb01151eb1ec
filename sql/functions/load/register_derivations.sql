-- register_derivations(reports): what load found: an array, one element for each claim:
--   {"lease", "drv", "name", "system", "kind", "features", "prefer_local", "must_resolve", "info",
--    "outputs": [{"name", "path", "valid"}], "inputs": [{"drv", "outputs": [name]}]}
--   {"lease", "drv", "failed": {"class", "status", "message"}}
--
-- Returns   (lease, outcome, detail): done, already, lease_lost, refused
-- Stages    unloaded -> waiting, resolvable, buildable, realised, failed
-- Locks     the graph lock
-- Loading stops at what is valid: inputs of a realised derivation are not looked at.
create or replace function resolver.register_derivations(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports resolver.report[];
    v_loaded  jsonb;
    v_ids     bigint[];
    v_ended   resolver.ended[];
begin
    perform resolver.lock_graph();
    v_reports := array(
        select row(r.lease, r.derivation, null, null,
                   case when r.outcome = 'open' and d.drv is distinct from r.body ->> 'drv' then 'refused'
                        when r.outcome = 'open' then 'done' else r.outcome end,
                   case when r.outcome = 'open' and d.drv is distinct from r.body ->> 'drv' then 'it is about another derivation' end,
                   r.digest, case when r.outcome = 'open' and d.drv = r.body ->> 'drv' then r.body end)::resolver.report
          from unnest(resolver.open_reports(p_reports, 'load')) r
          left join resolver.derivation d on d.derivation = r.derivation);
    perform resolver.close_leases(array(select r from unnest(v_reports) r where r.body is not null));
    update resolver.derivation_state s set lease = null
      from unnest(v_reports) r where s.derivation = r.derivation and r.body is not null;
    perform resolver.refuse(r.derivation, r.body -> 'failed') from unnest(v_reports) r where r.body ? 'failed';

    select coalesce(jsonb_agg(r.body), '[]'), coalesce(array_agg(r.derivation order by r.derivation), '{}')
      into v_loaded, v_ids
      from unnest(v_reports) r where r.body is not null and not r.body ? 'failed';
    update resolver.derivation d
       set name = r.name, system = r.system, kind = r.kind, must_resolve = r.must_resolve, prefer_local = r.prefer_local,
           features = array(select jsonb_array_elements_text(r.features))
      from jsonb_to_recordset(v_loaded) r (drv text, name text, system text, kind text, must_resolve boolean,
                                           prefer_local boolean, features jsonb)
     where d.drv = r.drv and d.kind is null;
    perform resolver.register_found(v_loaded, v_ids);

    v_ended := array(
        select row(r.derivation, r.derivation, nullif(r.body -> 'info', 'null'), null)::resolver.ended
          from unnest(v_reports) r
         where r.derivation = any (v_ids) and r.body is not null
           and not exists (select from resolver.output o
                            where o.derivation = r.derivation and o.wanted and o.valid_since is null)
         order by r.derivation);
    perform resolver.realise(v_ended);

    v_loaded := (select coalesce(jsonb_agg(r.body), '[]') from unnest(v_reports) r
                  where r.derivation = any (v_ids) and r.body is not null
                    and r.derivation not in (select e.derivation from unnest(v_ended) e));
    perform resolver.register_inputs(v_loaded);
    perform resolver.refuse_missing_outputs(v_ids);
    v_ids := array(select x from unnest(v_ids) x where x not in (select e.derivation from unnest(v_ended) e));
    perform resolver.want_inputs(v_ids);
    perform resolver.settle(v_ids);
    perform resolver.continue_walks();
    perform resolver.record_ends(100);
    return query select r.lease, r.outcome, r.detail from unnest(v_reports) r;
end
$$;

comment on function resolver.register_derivations(jsonb) is
    'Reports what load found in .drv files and in the store, for any number of claims.';
