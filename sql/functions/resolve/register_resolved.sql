-- register_resolved(resolved, original): the resolved derivation, with what the caller found of its outputs in the store.
--
-- Returns   its number. Locks: the caller holds the graph lock.
-- While it is being built, only the report of that build says what is valid.
create or replace function resolver.register_resolved(p_resolved jsonb, p_original bigint) returns bigint
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_resolved bigint;
begin
    insert into resolver.derivation as d (drv, name, system, kind, features, prefer_local, must_resolve)
    values (p_resolved ->> 'drv', p_resolved ->> 'name', p_resolved ->> 'system', p_resolved ->> 'kind',
            array(select jsonb_array_elements_text(p_resolved -> 'features')), (p_resolved ->> 'prefer_local')::boolean, false)
    on conflict (drv) do update
       set name = excluded.name, system = excluded.system, kind = excluded.kind, features = excluded.features,
           prefer_local = excluded.prefer_local, must_resolve = false
     where d.kind is null
    returning d.derivation into v_resolved;
    if not found then
        select d.derivation into v_resolved from resolver.derivation d where d.drv = p_resolved ->> 'drv';
    end if;

    insert into resolver.derivation_state (derivation, owner, global_priority, priority)
    select v_resolved, s.owner, s.global_priority, s.priority
      from resolver.derivation_state s where s.derivation = p_original
    on conflict (derivation) do nothing;
    perform resolver.record_outputs(
        (select jsonb_agg(o.output || jsonb_build_object('drv', p_resolved ->> 'drv')
                          || case when s.stage = 'building' then '{"valid": false}' else '{}'::jsonb end)
           from jsonb_array_elements(p_resolved -> 'outputs') o (output)
           join resolver.derivation_state s on s.derivation = v_resolved), 'local');
    update resolver.output o set wanted = true where o.derivation = v_resolved and not o.wanted;
    return v_resolved;
end
$$;

comment on function resolver.register_resolved(jsonb, bigint) is 'Makes a resolved derivation known.';
