-- prune(older_than, after, dry_run): forgets what is older, that no unfinished build needs, and that is not in the store.
--
-- Looks at a bounded number of derivations, those after the number p_after. A derivation stays while an output of it is
-- valid, an unfinished build needs it, or something that is not realised depends on it. Of what stays, entries that are not
-- in force any more are forgotten.
-- Returns   {"derivations", "realisations", "resolutions", "failures", "goals", "leases", "workers", "after"}: how many were
--           forgotten, or would be; "after" is the argument for the next call, null when this was the last.
-- Locks     the graph lock
create or replace function resolver.prune(p_older_than interval, p_after bigint default 0, p_dry_run boolean default false)
    returns jsonb
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit  constant integer := 1000;
    v_before timestamptz := resolver.clock() - p_older_than;
    v_seen   bigint[];
    v_gone   bigint[];
    v_answer jsonb;
begin
    perform resolver.lock_graph();
    v_seen := array(select d.derivation from resolver.derivation d where d.derivation > p_after order by d.derivation limit v_limit);
    v_gone := array(
        select s.derivation
          from resolver.derivation_state s
         where s.derivation = any (v_seen) and s.lease is null
           and not exists (select from resolver.output o where o.derivation = s.derivation and o.valid_since is not null)
           and not exists (select from resolver.output o where o.derivation = s.derivation and o.lost >= v_before)
           and not exists (select from resolver.realisation n
                            where n.derivation = s.derivation and (n.ceased is null or n.ceased >= v_before))
           and not exists (select from resolver.resolution r
                            where s.derivation in (r.derivation, r.resolved) and (r.time >= v_before or r.released >= v_before))
           and not exists (select from resolver.failure f where f.derivation = s.derivation and f.time >= v_before)
           and not exists (select from resolver.goal g
                            where (g.root = s.derivation or g.cause = s.derivation)
                              and (g.recorded is null or g.recorded >= v_before))
           and not exists (select from resolver.walk w where w.derivation = s.derivation)
           and not exists (select from resolver.derivation_state f
                            where f.resolved_to = s.derivation or f.failed_dependency = s.derivation)
           and not exists (select from resolver.dependency dep
                             join resolver.derivation_state x on x.derivation = dep.derivation
                            where dep.input = s.derivation and x.stage <> 'realised')
           and resolver.find_owner(s.derivation) is null);

    v_answer := jsonb_build_object(
        'derivations', cardinality(v_gone),
        'realisations', (select count(*) from resolver.realisation n
                          where n.derivation = any (v_seen) and (n.ceased < v_before or n.derivation = any (v_gone))),
        'resolutions', (select count(*) from resolver.resolution r
                         where r.derivation = any (v_seen) and (r.released < v_before or r.derivation = any (v_gone))),
        'failures', (select count(*) from resolver.failure f
                      where f.derivation = any (v_seen) and (f.cleared < v_before or f.derivation = any (v_gone))),
        'goals', (select count(*) from resolver.goal g where g.root = any (v_seen) and g.recorded < v_before),
        'leases', case when p_after = 0 then (select count(*) from resolver.lease l where l.closed < v_before) else 0 end,
        'workers', case when p_after = 0 then
            (select count(*) from resolver.worker w where w.gone < v_before
                and not exists (select from resolver.lease l where l.worker = w.worker and not coalesce(l.closed < v_before, false)))
            else 0 end,
        'after', v_seen[v_limit]);
    if not p_dry_run then
        perform resolver.forget(v_seen, v_gone, v_before);
    end if;
    return v_answer;
end
$$;

comment on function resolver.prune(interval, bigint, boolean) is
    'Forgets a part of what is older than the age and needed by nobody; never the trace of a path that is valid.';
