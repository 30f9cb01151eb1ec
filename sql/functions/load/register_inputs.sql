-- register_inputs(reports): [{"drv", "inputs": [{"drv", "outputs"}]}]: the inputs become known, and dependencies.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.register_inputs(p_reports jsonb) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    with new as (
        insert into resolver.derivation (drv)
        select distinct i.drv
          from jsonb_to_recordset(p_reports) r (inputs jsonb)
         cross join jsonb_to_recordset(r.inputs) i (drv text)
         where not exists (select from resolver.derivation d where d.drv = i.drv)
         order by 1
        on conflict do nothing
        returning derivation
    )
    insert into resolver.derivation_state (derivation) select n.derivation from new n;

    insert into resolver.dependency (derivation, input, outputs)
    select d.derivation, di.derivation, array(select jsonb_array_elements_text(i.outputs))
      from jsonb_to_recordset(p_reports) r (drv text, inputs jsonb)
      join resolver.derivation d on d.drv = r.drv
     cross join jsonb_to_recordset(r.inputs) i (drv text, outputs jsonb)
      join resolver.derivation di on di.drv = i.drv
     order by 1, 2
    on conflict do nothing;
end
$$;

comment on function resolver.register_inputs(jsonb) is 'Makes the inputs of loaded derivations known, and the dependencies on them.';
