-- propagate_height(stretches): inputs get at least one more than the height of the derivations that need them.
--
-- The height is the length of the longest chain above a derivation. A resolved derivation is at least as high as its followers.
-- Heights only grow, so the propagation ends where nothing changes.
-- Locks     the caller holds the graph lock. Raised inputs go on the work list.
create or replace function resolver.propagate_height(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    with above as (
        select n.derivation, max(n.height) as height
          from (select dep.input as derivation, s.height + 1 as height
                  from unnest(p_ranges) x
                  join resolver.derivation_state s on s.derivation = x.subject
                  join resolver.dependency dep on dep.derivation = s.derivation and dep.input > x.after and dep.input <= x.upto
                 where s.stage in ('unloaded', 'waiting') and s.owner is not null
                union all
                select s.resolved_to, s.height
                  from unnest(p_ranges) x
                  join resolver.derivation_state s on s.derivation = x.subject
                 where s.stage = 'resolved' and s.owner is not null) n
         group by n.derivation
    ), raised as (
        update resolver.derivation_state i set height = a.height
          from above a
         where i.derivation = a.derivation and i.height < a.height and i.stage not in ('realised', 'failed')
           -- A limit, in case a report contains a circle: no real graph is as deep.
           and a.height <= 10000
        returning i.derivation
    )
    insert into resolver.propagation as w (kind, subject) select 'raise', r.derivation from raised r
    on conflict (kind, subject) do update set after = 0 where w.after > 0;
end
$$;

comment on function resolver.propagate_height(resolver.edge_range[]) is
    'Inputs get at least the height that their dependents require; stops where nothing changes.';
