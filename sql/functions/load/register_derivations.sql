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
    v_open     jsonb;
    v_loaded   jsonb;
    v_ids      bigint[];
    v_realised bigint[];
    v_report   record;
begin
    perform resolver.lock_graph();
    select coalesce(jsonb_agg(r.report order by r.nr) filter (where r.outcome = 'open'), '[]') into v_open
      from (select e.report, e.nr, resolver.check_lease((e.report ->> 'lease')::bigint, 'load', md5(e.report::text)) as outcome
              from jsonb_array_elements(p_reports) with ordinality e (report, nr)) r;
    return query
        select (e.report ->> 'lease')::bigint,
               replace(resolver.check_lease((e.report ->> 'lease')::bigint, 'load', md5(e.report::text)), 'open', 'done'),
               null::text
          from jsonb_array_elements(p_reports) e (report);

    update resolver.derivation_state s set lease = null
      from jsonb_array_elements(v_open) e (report)
      join resolver.lease l on l.lease = (e.report ->> 'lease')::bigint
     where s.derivation = l.derivation and s.lease = l.lease;
    update resolver.lease l
       set closed = resolver.clock(), digest = md5(e.report::text),
           outcome = case when e.report ? 'failed' then 'failed' else 'done' end
      from jsonb_array_elements(v_open) e (report)
     where l.lease = (e.report ->> 'lease')::bigint;

    for v_report in
        select l.derivation, e.report -> 'failed' as failed
          from jsonb_array_elements(v_open) e (report)
          join resolver.lease l on l.lease = (e.report ->> 'lease')::bigint
         where e.report ? 'failed'
    loop
        perform resolver.refuse(v_report.derivation, v_report.failed);
    end loop;

    select coalesce(jsonb_agg(e.report), '[]') into v_loaded
      from jsonb_array_elements(v_open) e (report) where not e.report ? 'failed';
    update resolver.derivation d
       set name = r.name, system = r.system, kind = r.kind, must_resolve = r.must_resolve, prefer_local = r.prefer_local,
           features = array(select jsonb_array_elements_text(r.features))
      from jsonb_to_recordset(v_loaded) r (drv text, name text, system text, kind text, must_resolve boolean,
                                           prefer_local boolean, features jsonb)
     where d.drv = r.drv and d.kind is null;
    v_ids := array(select d.derivation
                     from jsonb_to_recordset(v_loaded) r (drv text) join resolver.derivation d on d.drv = r.drv
                    order by 1);
    perform resolver.register_found(v_loaded, v_ids);

    v_realised := array(
        select x from unnest(v_ids) x
         where not exists (select from resolver.output o
                            where o.derivation = x and o.wanted and o.valid_since is null));
    for v_report in
        select d.derivation, r.info
          from jsonb_to_recordset(v_loaded) r (drv text, info jsonb) join resolver.derivation d on d.drv = r.drv
         where d.derivation = any (v_realised) order by 1
    loop
        perform resolver.realise(v_report.derivation, nullif(v_report.info, 'null'), null);
    end loop;

    v_ids := array(select x from unnest(v_ids) x where x <> all (v_realised));
    perform resolver.register_inputs(
        (select coalesce(jsonb_agg(e.report), '[]')
           from jsonb_array_elements(v_loaded) e (report)
           join resolver.derivation d on d.drv = e.report ->> 'drv' and d.derivation = any (v_ids)));
    perform resolver.refuse_missing_outputs(v_ids || v_realised);
    perform resolver.want_inputs(v_ids);
    perform resolver.settle(v_ids);
    perform resolver.continue_walks();
    perform resolver.record_ends(100);
end
$$;

comment on function resolver.register_derivations(jsonb) is
    'Reports what load found in .drv files and in the store, for any number of claims.';
