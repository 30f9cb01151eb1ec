-- register_inputs(reports): [{"drv", "inputs": [{"drv", "outputs"}], "chains": [{"drv", "outputs"}]}]: registers the inputs and the
-- dependencies. If a derivation has chains, each output that it needs becomes a chain, even with one link only.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.register_inputs(p_reports jsonb) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_dynamic jsonb[];
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

    if p_reports @? '$[*].chains' then
        v_dynamic := array(select r.report from jsonb_array_elements(p_reports) r (report) where r.report ? 'chains');
        insert into resolver.chain (derivation, root, outputs, input)
        select d.derivation, di.derivation, c.outputs, di.derivation
          from unnest(v_dynamic) r (report)
          join resolver.derivation d on d.drv = r.report ->> 'drv'
         cross join lateral (
              select c.drv, array(select jsonb_array_elements_text(c.outputs)) as outputs
                from jsonb_to_recordset(r.report -> 'chains') c (drv text, outputs jsonb)
              union all
              select i.drv, array[o.name]
                from jsonb_to_recordset(r.report -> 'inputs') i (drv text, outputs jsonb)
               cross join jsonb_array_elements_text(i.outputs) o (name)) c
          join resolver.derivation di on di.drv = c.drv
         order by 1, 2, 3
        on conflict do nothing;
        perform resolver.follow_chains(array(select d.derivation from unnest(v_dynamic) r (report)
                                               join resolver.derivation d on d.drv = r.report ->> 'drv'));
    end if;
end
$$;

comment on function resolver.register_inputs(jsonb) is 'Registers the inputs of loaded derivations, and the dependencies on them.';
