-- forget(seen, gone, before): deletes what prune() found: gone, and of all that were seen what is not in force since before then.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.forget(p_seen bigint[], p_gone bigint[], p_before timestamptz) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from resolver.goal g where g.root = any (p_seen) and g.recorded < p_before;
    delete from resolver.goal g where g.cause = any (p_gone);
    delete from resolver.realisation n
     where n.derivation = any (p_gone)
        or n.derivation = any (p_seen) and n.ceased < p_before
           -- Who built first what is there again is no past.
           and not exists (select from resolver.realisation again
                            where again.derivation = n.derivation and again.output = n.output and again.path = n.path
                              and again.ceased is null);
    delete from resolver.resolution r
     where r.derivation = any (p_seen) and (r.released < p_before or r.derivation = any (p_gone));
    delete from resolver.resolution r where r.resolved = any (p_gone);
    delete from resolver.failure f
     where f.derivation = any (p_seen) and (f.cleared < p_before or f.derivation = any (p_gone));
    -- As with dependencies: whoever had these as inputs learns of them again when it is loaded.
    delete from resolver.chain c using resolver.dependency dep where dep.input = any (p_gone) and c.derivation = dep.derivation;
    delete from resolver.chain c where c.derivation = any (p_gone);
    delete from resolver.dependency dep where dep.derivation = any (p_gone);
    delete from resolver.dependency dep where dep.input = any (p_gone);
    delete from resolver.walk w where w.derivation = any (p_gone);
    delete from resolver.watch w where w.derivation = any (p_gone);
    delete from resolver.output o where o.derivation = any (p_gone);
    delete from resolver.derivation_state s where s.derivation = any (p_gone);
    delete from resolver.derivation d where d.derivation = any (p_gone);
end
$$;

comment on function resolver.forget(bigint[], bigint[], timestamptz) is 'Deletes derivations, and what is told of them.';
