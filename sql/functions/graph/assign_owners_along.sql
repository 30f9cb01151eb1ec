-- assign_owners_along(stretches): a derivation without an owner gets the owner of an unfinished dependent or follower.
--
-- Locks     the caller holds the graph lock. A derivation that gets an owner wants its inputs, by a propagation.
create or replace function resolver.assign_owners_along(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    with adopted as (
        update resolver.derivation_state s set owner = n.build, jobset = n.jobset
          from (select distinct on (x.subject) x.subject, g.build, g.jobset
                  from unnest(p_ranges) x
                 cross join lateral (
                      select d.owner
                        from resolver.dependency dep
                        join resolver.derivation_state d on d.derivation = dep.derivation
                       where dep.input = x.subject and dep.derivation + 0 > x.after and dep.derivation + 0 <= x.upto
                         and d.owner is not null and d.stage not in ('realised', 'failed')
                      union all
                      (select f.owner from resolver.derivation_state f
                        where x.after = 0 and f.resolved_to = x.subject and f.resolved_to > 0 and f.stage = 'resolved' and f.owner is not null
                        limit 100)) o
                  join resolver.goal g on g.build = o.owner and g.ended_at is null
                 order by x.subject, g.build) n
         where s.derivation = n.subject and s.owner is null
        returning s.derivation, s.stage
    )
    insert into resolver.propagation as w (kind, subject)
    select 'want', a.derivation from adopted a where a.stage in ('unloaded', 'waiting', 'resolved')
    on conflict (kind, subject) do update set after = 0 where w.after > 0;
end
$$;

comment on function resolver.assign_owners_along(resolver.edge_range[]) is
    'Derivations without an owner get the owner of an unfinished derivation that needs them.';
revoke all on function resolver.assign_owners_along(resolver.edge_range[]) from public;
