-- find_owners(derivations): each gets a build that still needs it as its owner, with the jobset of that one; or none.
--
-- What is above one that nobody needs has none either. Else it would seem to be wanted already when the build that had been its
-- owner is restarted: such a wish stops there, see want_inputs().
-- Locks     the caller holds the graph lock.
create or replace function resolver.find_owners(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_layer bigint[];
begin
    update resolver.derivation_state s
       set (owner, jobset) = (select g.build, g.jobset from resolver.goal g where g.build = resolver.find_owner(s.derivation))
     where s.derivation = any (p_derivations);
    v_layer := array(select s.derivation from resolver.derivation_state s where s.derivation = any (p_derivations) and s.owner is null);
    while cardinality(v_layer) > 0 loop
        v_layer := array(
            select s.derivation
              from resolver.dependency dep join resolver.derivation_state s on s.derivation = dep.derivation
             where dep.input = any (v_layer) and s.owner is not null and s.stage not in ('realised', 'failed')
            union
            select s.derivation from resolver.derivation_state s
             where s.resolved_to = any (v_layer) and s.owner is not null and s.stage = 'resolved');
        update resolver.derivation_state s set owner = null, jobset = null where s.derivation = any (v_layer);
    end loop;
end
$$;

comment on function resolver.find_owners(bigint[]) is 'New owners for derivations, with their jobsets; null for those that nobody needs.';
