-- find_owners(derivations): each derivation gets an unfinished build that needs it as its owner, or null if there is no such build.
--
-- The owner is a build whose root the derivation is, else the owner of an unfinished derivation that needs it directly. Every
-- derivation between it and a root has an owner, or gets one by a propagation, and then wants this derivation again.
-- Locks     the caller holds the graph lock. A derivation that gets an owner wants its inputs, by a propagation. If a derivation has very
--           many dependents, a propagation goes through the rest of them.
create or replace function resolver.find_owners(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if p_derivations is null or p_derivations = '{}' then
        return;
    end if;
    update resolver.derivation_state s set owner = null, jobset = null
     where s.derivation = any (p_derivations) and s.owner is not null;
    update resolver.derivation_state s set owner = g.build, jobset = g.jobset
      from (select distinct on (x.derivation) x.derivation, r.build, r.jobset
              from unnest(p_derivations) x (derivation)
             cross join lateral (select g.build, g.jobset from resolver.goal g where g.root = x.derivation and g.root > 0 and g.ended_at is null
                                  order by g.build + 0 limit 1) r) g
     where s.derivation = g.derivation;
    perform resolver.assign_owners_along(resolver.next_edge_ranges('seek', array(
        select s.derivation from resolver.derivation_state s where s.derivation = any (p_derivations) and s.owner is null), null, 500));
    perform resolver.start_propagations('want', array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (p_derivations) and s.owner is not null and s.stage in ('unloaded', 'waiting', 'resolved')));
end
$$;

comment on function resolver.find_owners(bigint[]) is
    'New owners for derivations, with their jobsets; null for derivations that no build needs.';
