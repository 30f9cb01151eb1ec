-- follow(derivation, report): it resolves to another one, and waits for it; or ends with it at once.
--
-- Stages    resolvable -> resolved -> realised, failed; the resolved one: unloaded -> buildable, realised
-- Locks     the caller holds the graph lock, and has checked the report.
create or replace function resolver.follow(p_derivation bigint, p_report jsonb) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_resolved bigint := resolver.register_resolved(p_report -> 'resolved', p_derivation);
    v_build    integer := resolver.account_of(p_derivation);
    v_stage    text;
    v_class    text;
begin
    update resolver.resolution r set released = resolver.clock()
     where r.derivation = p_derivation and r.released is null;
    insert into resolver.resolution (derivation, resolved, inputs, outputs, paths, build, stepnr, time)
    select p_derivation, v_resolved, coalesce(array_agg(d.derivation order by e.nr), '{}'),
           coalesce(array_agg(e.sample ->> 1 order by e.nr), '{}'), coalesce(array_agg(e.sample ->> 2 order by e.nr), '{}'),
           v_build, resolver.record_resolution(p_derivation, v_resolved, v_build), resolver.clock()
      from jsonb_array_elements(p_report -> 'samples') with ordinality e (sample, nr)
      join resolver.derivation d on d.drv = e.sample ->> 0;

    update resolver.derivation_state s set stage = 'resolved', resolved_to = v_resolved
     where s.derivation = p_derivation;

    select s.stage, f.class into v_stage, v_class
      from resolver.derivation_state s
      left join resolver.failure f on f.derivation = s.derivation and f.cleared is null
     where s.derivation = v_resolved;
    if not exists (select from resolver.output o where o.derivation = v_resolved and o.valid_since is null) then
        perform resolver.realise(v_resolved, nullif(p_report -> 'info', 'null'), null);
    elsif v_stage = 'failed' and v_class = 'builder' then
        update resolver.derivation_state s
           set stage = 'failed', resolved_to = null, failed_dependency = v_resolved
         where s.derivation = p_derivation;
        insert into resolver.walk (kind, derivation) values ('fail', p_derivation) on conflict do nothing;
    else
        if v_stage = 'failed' then
            perform resolver.clear_failure(v_resolved);
        end if;
        perform resolver.want_inputs(array[p_derivation]);
        perform resolver.settle(array[v_resolved]);
    end if;
end
$$;

comment on function resolver.follow(bigint, jsonb) is 'A derivation follows the one that it resolves to.';
