-- delete_pruned(derivations, goals, realisations, resolutions, failures, leases): deletes the rows that prune() found.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.delete_pruned(
    p_derivations bigint[], p_goals integer[], p_realisations bigint[], p_resolutions bigint[], p_failures bigint[], p_leases bigint[]
) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from resolver.goal g where g.build = any (p_goals);
    delete from resolver.realisation n where n.realisation = any (p_realisations);
    delete from resolver.resolution r where r.resolution = any (p_resolutions);
    delete from resolver.failure f where f.failure = any (p_failures);
    delete from resolver.lease l where l.lease = any (p_leases);
    -- If another program has written or deleted a step row since, its attempt cannot be resumed.
    delete from resolver.interrupted_step i
     where (i.build, i.stepnr) in (select x.build, x.stepnr from resolver.interrupted_step x
                                    where not exists (select from public.BuildSteps s
                                                       where s.build = x.build and s.stepnr = x.stepnr and s.status = 3)
                                    limit 100);
    -- As with dependencies: a derivation that had these as inputs gets them again when it is loaded.
    delete from resolver.chain c using resolver.dependency dep where dep.input = any (p_derivations) and c.derivation = dep.derivation;
    delete from resolver.chain c where c.derivation = any (p_derivations);
    delete from resolver.dependency dep where dep.derivation = any (p_derivations);
    delete from resolver.dependency dep where dep.input = any (p_derivations);
    delete from resolver.propagation w where w.subject = any (p_derivations) and w.kind <> 'disown';
    delete from resolver.watch w where w.derivation = any (p_derivations);
    delete from resolver.output o where o.derivation = any (p_derivations);
    delete from resolver.derivation_state s where s.derivation = any (p_derivations);
    delete from resolver.derivation d where d.derivation = any (p_derivations);
end
$$;

comment on function resolver.delete_pruned(bigint[], integer[], bigint[], bigint[], bigint[], bigint[]) is
    'Deletes derivations, and the rows about them.';
