-- mark_wanted_outputs(stretches): the outputs that derivations need of these inputs become wanted, also of the inputs' resolved derivations.
--
-- If a derivation names an output that its input does not have, the derivation fails.
-- Locks     the caller holds the graph lock.
create or replace function resolver.mark_wanted_outputs(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_inputs bigint[];
begin
    with needed as materialized (
        select dep.derivation, dep.input, n.name, i.kind is null as unloaded, x.derivation is not null as known
          from unnest(p_ranges) t
          join resolver.derivation_state s on s.derivation = t.subject and s.stage in ('unloaded', 'waiting')
          join resolver.dependency dep on dep.derivation = s.derivation and dep.input > t.after and dep.input <= t.upto
          join resolver.derivation i on i.derivation = dep.input
         cross join unnest(dep.outputs) n (name)
          left join resolver.output x on x.derivation = dep.input and x.name = n.name
         where x.is_wanted is not true
    ), lacking as (
        insert into resolver.propagation as w (kind, subject)
        select distinct 'missing', n.input from needed n where not n.known and not n.unloaded
        on conflict (kind, subject) do update set after = 0 where w.after > 0
    ), wished as (
        insert into resolver.output as o (derivation, name, is_wanted)
        select distinct n.input, n.name, true from needed n where n.known or n.unloaded
         order by 1, 2
        on conflict (derivation, name) do update set is_wanted = true where not o.is_wanted
        returning o.derivation
    )
    select array_agg(distinct w.derivation) into v_inputs from wished w;
    if v_inputs is not null then
        perform resolver.copy_wanted_outputs(v_inputs);
    end if;
end
$$;

comment on function resolver.mark_wanted_outputs(resolver.edge_range[]) is 'Outputs that derivations need become wanted.';
