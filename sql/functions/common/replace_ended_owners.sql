-- replace_ended_owners(derivations): those whose owner has ended get another one, or none.
--
-- Returns   whether there were any.
-- Locks     the caller holds the graph lock.
create or replace function resolver.replace_ended_owners(p_derivations bigint[]) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_stale bigint[] := array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (p_derivations)
           and not exists (select from resolver.goal g where g.build = s.owner and g.ended is null));
begin
    if cardinality(v_stale) > 0 then
        perform resolver.find_owners(v_stale);
    end if;
    return cardinality(v_stale) > 0;
end
$$;

comment on function resolver.replace_ended_owners(bigint[]) is 'Derivations whose owner does not need them any more get another owner.';
