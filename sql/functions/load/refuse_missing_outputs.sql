-- refuse_missing_outputs(derivations): who names an output that its input does not have can never be built.
--
-- Stages    unloaded, waiting -> failed, for the derivations themselves and what depends on them
-- Locks     the caller holds the graph lock.
create or replace function resolver.refuse_missing_outputs(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_bad record;
begin
    for v_bad in
        select distinct on (dep.derivation) dep.derivation, i.drv, n.name
          from (select * from resolver.dependency x where x.derivation = any (p_derivations)
                union
                select * from resolver.dependency x where x.input = any (p_derivations)) dep
          join resolver.derivation i on i.derivation = dep.input and i.kind is not null
          join resolver.derivation_state s on s.derivation = dep.derivation and s.stage in ('unloaded', 'waiting')
         cross join unnest(dep.outputs) n (name)
         where not exists (select from resolver.output o where o.derivation = dep.input and o.name = n.name)
         order by dep.derivation, i.drv
    loop
        perform resolver.refuse(v_bad.derivation, jsonb_build_object(
            'class', 'unsupported', 'status', 1,
            'message', format('it needs output ''%s'' of %s, which has no output of that name', v_bad.name,
                              resolver.hydra_path(v_bad.drv))));
    end loop;
end
$$;

comment on function resolver.refuse_missing_outputs(bigint[]) is
    'Fails derivations that name an output which their input does not have.';
