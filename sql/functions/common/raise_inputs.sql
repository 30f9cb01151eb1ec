-- raise_inputs(derivations): the longest chain above what they need is at least one link longer than that above them.
--
-- A resolution is as high as what was resolved to it. Heights only grow, so it ends where nothing changes.
-- Locks     the caller holds the graph lock. The inputs that were raised go on the work list.
create or replace function resolver.raise_inputs(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    with above as (
        select x.derivation, max(x.height) as height
          from (select dep.input as derivation, s.height + 1 as height
                  from resolver.derivation_state s
                  join resolver.dependency dep on dep.derivation = s.derivation
                 where s.derivation = any (p_derivations) and s.stage in ('unloaded', 'waiting') and s.owner is not null
                union all
                select s.resolved_to, s.height
                  from resolver.derivation_state s
                 where s.derivation = any (p_derivations) and s.stage = 'resolved' and s.owner is not null) x
         group by x.derivation
    ), raised as (
        update resolver.derivation_state i set height = a.height
          from above a
         where i.derivation = a.derivation and i.height < a.height and i.stage not in ('realised', 'failed')
           -- Should somebody report a circle: nothing real is as deep.
           and a.height <= 10000
        returning i.derivation
    )
    insert into resolver.walk (kind, derivation) select 'raise', r.derivation from raised r on conflict do nothing;
end
$$;

comment on function resolver.raise_inputs(bigint[]) is 'Inputs of derivations are as high as these require; stops where nothing changes.';
