-- copy_wanted_outputs(derivations): outputs that are wanted of derivations become wanted of their resolved derivations.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.copy_wanted_outputs(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.output o set is_wanted = true
      -- offset: otherwise the planner looks outputs up by name while there are few of them.
      from (select s.resolved_to, w.name
              from resolver.derivation_state s join resolver.output w on w.derivation = s.derivation and w.is_wanted
             where s.derivation = any (p_derivations) and s.stage = 'resolved' offset 0) x
     where o.derivation = x.resolved_to and o.name = x.name and not o.is_wanted;
end
$$;

comment on function resolver.copy_wanted_outputs(bigint[]) is
    'Outputs that are wanted of followers become wanted of the derivations that they follow.';
