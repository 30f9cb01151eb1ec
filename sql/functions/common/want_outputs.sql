-- want_outputs(derivations): the outputs that these need are wanted; also of what their inputs were resolved to.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.want_outputs(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_wished bigint[];
begin
    with wished as (
        insert into resolver.output as o (derivation, name, wanted)
        select distinct dep.input, n.name, true
          from resolver.derivation_state s
          join resolver.dependency dep on dep.derivation = s.derivation
         cross join unnest(dep.outputs) n (name)
         where s.derivation = any (p_derivations) and s.stage in ('unloaded', 'waiting')
           and (exists (select from resolver.output x where x.derivation = dep.input and x.name = n.name)
                or exists (select from resolver.derivation i where i.derivation = dep.input and i.kind is null))
         order by 1, 2
        on conflict (derivation, name) do update set wanted = true where not o.wanted
        returning o.derivation
    )
    select array_agg(w.derivation) into v_wished from wished w;
    if v_wished is not null then
        perform resolver.want_of_resolved(v_wished);
    end if;
end
$$;

comment on function resolver.want_outputs(bigint[]) is 'Outputs that derivations need become wanted.';
