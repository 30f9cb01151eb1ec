-- disown(derivations): their owner has another root now: who does not need them for that one as well gives them up.
--
-- Whoever is above them may have been given up already, or be about to: so they stay as long as something above them has the same
-- owner, and are looked at again when that is given up. A build for the new root wants again what it needs, as it is loaded.
-- Locks     the caller holds the graph lock. What lies below, and has the same owner, goes on the work list.
create or replace function resolver.disown(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    with above as (
        select s.derivation, g.build as owner
          from resolver.derivation_state s join resolver.goal g on g.root = s.derivation and g.ended is null
         where s.derivation = any (p_derivations)
        union all
        select dep.input, d.owner
          from resolver.dependency dep join resolver.derivation_state d on d.derivation = dep.derivation
         where dep.input = any (p_derivations) and d.owner is not null and d.stage not in ('realised', 'failed')
        union all
        select d.resolved_to, d.owner
          from resolver.derivation_state d
         where d.resolved_to = any (p_derivations) and d.owner is not null and d.stage = 'resolved'
    ), given_up as (
        update resolver.derivation_state s
           set (owner, jobset) = (select g.build, g.jobset from resolver.goal g where g.build = n.owner)
          from (select x.derivation, x.owner as old, min(a.owner) as owner
                  from resolver.derivation_state x left join above a on a.derivation = x.derivation
                 where x.derivation = any (p_derivations)
                 group by x.derivation
                having bool_or(a.owner = x.owner) is not true) n
         where s.derivation = n.derivation and s.owner is not null
        returning s.derivation, n.old
    )
    insert into resolver.walk (kind, derivation)
    select 'disown', i.derivation
      from given_up u
     cross join lateral (
           select dep.input as derivation from resolver.dependency dep where dep.derivation = u.derivation
           union all
           select s.resolved_to from resolver.derivation_state s where s.derivation = u.derivation) b
      join resolver.derivation_state i on i.derivation = b.derivation
     where i.owner = u.old and i.stage not in ('realised', 'failed')
    on conflict do nothing;
end
$$;

comment on function resolver.disown(bigint[]) is 'Derivations that their owner does not need any more get another owner, or none.';
revoke all on function resolver.disown(bigint[]) from public;
