-- prune(older_than, after, dry_run): forgets what is older, that no unfinished build needs, and that is not in the store.
--
-- Looks at a bounded number of derivations, those after the number p_after. A derivation stays while an output of it is
-- valid, an unfinished build needs it, or something that is not realised depends on it. Of what stays, entries that are not
-- in force any more are forgotten.
-- Returns   {"derivations", "realisations", "resolutions", "failures", "goals", "leases", "after"}: how many were forgotten, or
--           would be; "after" is the argument for the next call, null when this was the last.
-- Locks     the graph lock, unless it is a dry run; then rows of derivation_state, SKIP LOCKED, since they can be claimed
--           without it
create or replace function resolver.prune(p_older_than interval, p_after bigint default 0, p_dry_run boolean default false)
    returns jsonb
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit  constant integer := 250;
    v_before timestamptz := resolver.clock() - p_older_than;
    v_seen   bigint[];
    v_gone   bigint[];
    v_leases bigint[];
    v_answer jsonb;
begin
    if not p_dry_run then
        perform resolver.lock_graph();
    end if;
    v_seen := array(select d.derivation from resolver.derivation d where d.derivation > p_after order by d.derivation limit v_limit);
    v_gone := resolver.prunable(v_seen, v_before, false);
    if not p_dry_run then
        v_gone := resolver.prunable(array(select s.derivation from resolver.derivation_state s
                                           where s.derivation = any (v_gone) and s.lease is null
                                             for update skip locked), v_before, false);
    end if;
    v_leases := array(select l.lease from resolver.lease l where l.closed < v_before and not p_dry_run
                       order by l.closed limit v_limit);

    v_answer := jsonb_build_object(
        'derivations', cardinality(v_gone),
        'realisations', (select count(*) from resolver.realisation n
                          where n.derivation = any (v_gone)
                             or n.derivation = any (v_seen) and n.ceased < v_before
                                and not exists (select from resolver.realisation again
                                                 where again.derivation = n.derivation and again.output = n.output
                                                   and again.path = n.path and again.ceased is null)),
        'resolutions', (select count(*) from resolver.resolution r
                         where r.derivation = any (v_seen) and (r.released < v_before or r.derivation = any (v_gone)))
                       + (select count(*) from resolver.resolution r
                           where r.resolved = any (v_gone)
                             and not (r.derivation = any (v_seen) and (coalesce(r.released < v_before, false) or r.derivation = any (v_gone)))),
        'failures', (select count(*) from resolver.failure f
                      where f.derivation = any (v_seen) and (f.cleared < v_before or f.derivation = any (v_gone))),
        'goals', (select count(*) from resolver.goal g where g.root = any (v_seen) and g.recorded < v_before)
                 + (select count(*) from resolver.goal g where g.cause = any (v_gone) and g.root <> all (v_seen)),
        'leases', case when not p_dry_run then cardinality(v_leases)
                       when p_after = 0 then (select count(*) from resolver.lease l where l.closed < v_before)
                       else 0 end,
        'after', coalesce(v_seen[v_limit],
                          case when cardinality(v_leases) = v_limit then coalesce(v_seen[cardinality(v_seen)], p_after) end));
    if not p_dry_run then
        perform resolver.forget(v_seen, v_gone, v_before);
        delete from resolver.lease l where l.lease = any (v_leases);
    end if;
    return v_answer;
end
$$;

comment on function resolver.prune(interval, bigint, boolean) is
    'Forgets a part of what is older than the age and needed by nobody; never the trace of a path that is valid.';
