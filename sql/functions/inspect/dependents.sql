-- dependents(drvs): returns the direct dependents of these derivations, with all data that is needed to compute their resolutions.
--
-- Returns   (drv, kind, must_resolve, resolved, inputs, outputs, wanted): resolved: the last resolved derivation, null if there is
--           none; inputs: {drv: {output: path}}; outputs: {output: path}: the last path, null if none is known;
--           wanted: the wanted outputs.
create or replace function resolver.dependents(p_drvs text[])
    returns table (drv text, kind text, must_resolve boolean, resolved text, inputs jsonb, outputs jsonb, wanted text[])
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select d.drv, d.kind, d.must_resolve,
           (select x.drv from resolver.resolution r join resolver.derivation x on x.derivation = r.resolved
             where r.derivation = d.derivation order by r.resolution desc limit 1),
           (select jsonb_object_agg(i.drv, i.outputs)
              from (select di.drv, jsonb_object_agg(n.name, o.path) as outputs
                      from resolver.dependency dep
                      join resolver.derivation di on di.derivation = dep.input
                     cross join unnest(dep.outputs) n (name)
                      left join resolver.output o on o.derivation = dep.input and o.name = n.name
                     where dep.derivation = d.derivation
                     group by di.drv) i),
           (select coalesce(jsonb_object_agg(o.name, o.path), '{}') from resolver.output o where o.derivation = d.derivation),
           array(select o.name from resolver.output o where o.derivation = d.derivation and o.is_wanted order by 1)
      from resolver.derivation d
     where d.derivation in (select dep.derivation
                              from resolver.derivation c join resolver.dependency dep on dep.input = c.derivation
                             where c.drv = any (p_drvs))
     order by d.drv
$$;

comment on function resolver.dependents(text[]) is 'Direct dependents of derivations, with inputs and outputs as far as they are known.';
