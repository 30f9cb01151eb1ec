-- fail_missing_outputs(stretches): dependents that name an output which these inputs do not have fail.
--
-- Stages    unloaded, waiting -> failed, for the dependents and their own dependents
-- Locks     the caller holds the graph lock. A bounded number fails now, the others by the propagation that goes on from there.
create or replace function resolver.fail_missing_outputs(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit constant integer := 20;
    v_bad   record;
begin
    for v_bad in
        select dep.derivation, dep.input, i.drv, n.name, row_number() over (order by x.subject, dep.derivation, n.name) as nr
          from unnest(p_ranges) x
          join resolver.derivation i on i.derivation = x.subject and i.kind is not null
          join resolver.dependency dep on dep.input = x.subject and dep.derivation + 0 > x.after and dep.derivation + 0 <= x.upto
          join resolver.derivation_state s on s.derivation = dep.derivation and s.stage in ('unloaded', 'waiting')
         cross join lateral (select n.name from unnest(dep.outputs) n (name)
                              where not exists (select from resolver.output o where o.derivation = dep.input and o.name = n.name)
                              order by 1 limit 1) n
         order by nr limit v_limit
    loop
        perform resolver.fail_without_attempt(v_bad.derivation, jsonb_build_object(
            'class', 'unsupported', 'status', 1,
            'message', format('it needs output ''%s'' of %s, which has no output of that name', v_bad.name,
                              resolver.hydra_path(v_bad.drv))));
        if v_bad.nr = v_limit then
            perform resolver.start_propagations('missing', array(select x.subject from unnest(p_ranges) x where x.subject >= v_bad.input));
        end if;
    end loop;
end
$$;

comment on function resolver.fail_missing_outputs(resolver.edge_range[]) is
    'Fails derivations that name an output which their input does not have.';
