-- find_owners(derivations): each gets a build that still needs it as its owner, with the jobset of that one; or none.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.find_owners(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.derivation_state s
       set (owner, jobset) = (select g.build, g.jobset from resolver.goal g where g.build = resolver.find_owner(s.derivation))
     where s.derivation = any (p_derivations);
end
$$;

comment on function resolver.find_owners(bigint[]) is 'New owners for derivations, with their jobsets; null for those that nobody needs.';
