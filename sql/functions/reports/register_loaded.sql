-- register_loaded(reports): records the facts, outputs and inputs of these derivations as load found them, and their stages.
--
-- Stages    unloaded -> waiting, resolvable, buildable, realised, failed
-- Locks     the caller holds the graph lock, and the derivations have no lease.
-- Loading stops at valid outputs: the inputs of a realised derivation are not looked at.
create or replace function resolver.register_loaded(p_reports resolver.report[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_loaded jsonb;
    v_ids    bigint[];
    v_ended  resolver.ended[];
begin
    if cardinality(p_reports) = 0 then
        return;
    end if;
    perform resolver.fail_without_attempt(r.derivation, r.body -> 'failed') from unnest(p_reports) r where r.body ? 'failed';

    select coalesce(jsonb_agg(r.body), '[]'), coalesce(array_agg(r.derivation order by r.derivation), '{}')
      into v_loaded, v_ids
      from unnest(p_reports) r where not r.body ? 'failed';
    update resolver.derivation d
       set name = r.name, system = r.system, kind = r.kind, must_resolve = r.must_resolve, prefer_local = r.prefer_local,
           features = f.features,
           machine_type = resolver.machine_type_of(r.system, f.features, r.prefer_local, r.kind = 'floating')
      from jsonb_to_recordset(v_loaded) r (drv text, name text, system text, kind text, must_resolve boolean,
                                           prefer_local boolean, features jsonb)
     cross join lateral (select array(select jsonb_array_elements_text(r.features)) as features) f
     where d.drv = r.drv and d.kind is null;
    perform resolver.register_found(v_loaded, v_ids);

    v_ended := array(
        select row(r.derivation, r.derivation,
                   case when r.body -> 'info' <> 'null'
                         and not exists (select from resolver.output o
                                          where o.derivation = r.derivation and not r.body -> 'outputs' @> jsonb_build_array(
                                                    jsonb_build_object('name', o.name, 'path', o.path)))
                        then resolver.checked_info(r.body -> 'info') end, null)::resolver.ended
          from unnest(p_reports) r
         where r.derivation = any (v_ids)
           and not exists (select from resolver.output o
                            where o.derivation = r.derivation and o.is_wanted and o.valid_since is null)
         order by r.derivation);
    perform resolver.complete_derivations(v_ended);

    v_loaded := (select coalesce(jsonb_agg(r.body), '[]') from unnest(p_reports) r
                  where r.derivation = any (v_ids)
                    and r.derivation not in (select e.derivation from unnest(v_ended) e));
    perform resolver.register_inputs(v_loaded);
    v_ids := array(select x from unnest(v_ids) x where x not in (select e.derivation from unnest(v_ended) e));
    perform resolver.propagate_demand(v_ids);
    perform resolver.reevaluate_readiness(v_ids);
end
$$;

comment on function resolver.register_loaded(resolver.report[]) is 'Registers derivations as load found them.';
