-- prune(older_than, after, dry_run): deletes derivations that are older, that no unfinished build needs, and that the store lacks.
--
-- The function looks at a bounded number of derivations after the number p_after. A derivation stays while an output of it is
-- valid, an unfinished build needs it, or a derivation that is not realised depends on it. If a derivation stays, its entries that
-- are no longer in force are deleted.
-- Returns   {"derivations", "realisations", "resolutions", "failures", "goals", "leases", "after"}: how many were deleted, or
--           would be; "after" is the argument for the next call, null if this was the last.
-- Locks     the graph lock, unless it is a dry run; then rows of derivation_state, SKIP LOCKED, since they can be claimed
--           without it
create or replace function resolver.prune(p_older_than interval, p_after bigint default 0, p_dry_run boolean default false)
    returns jsonb
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit        constant integer := 250;
    v_before       constant timestamptz := resolver.clock() - p_older_than;
    v_seen         bigint[] := array(select d.derivation from resolver.derivation d where d.derivation > p_after order by d.derivation limit v_limit);
    v_next         bigint := v_seen[v_limit];
    v_gone         bigint[];
    v_goals        integer[];
    v_realisations bigint[];
    v_resolutions  bigint[];
    v_failures     bigint[];
    v_leases       bigint[];
begin
    if not p_dry_run then
        perform resolver.lock_graph();
    end if;
    v_gone := resolver.prunable(v_seen, v_before, false);
    if not p_dry_run then
        select p.gone_at, coalesce(p.next, v_next) into v_gone, v_next
          from resolver.prune_edges(resolver.prunable(array(select s.derivation from resolver.derivation_state s
                                                             where s.derivation = any (v_gone) and s.lease is null
                                                               for update skip locked), v_before, false)) p;
        v_seen := array(select x from unnest(v_seen) x where x <= v_next or v_next is null);
    end if;

    -- A goal stays if only it records that a build ended by another failure than the one that Hydra's rows name.
    v_goals := array(
        select g.build from resolver.goal g
         where (g.root = any (v_seen) and g.recorded_at < v_before or g.cause = any (v_gone))
           and not resolver.is_held_back(g));
    v_realisations := array(
        select n.realisation from resolver.realisation n
         where n.derivation = any (v_gone)
            or n.derivation = any (v_seen) and n.ceased_at < v_before
               -- A realisation stays if its path is valid again, or is served through a resolution.
               and not exists (select from resolver.output o where o.derivation = n.derivation and o.name = n.output and o.path = n.path
                                  and o.valid_since is not null)
               and not exists (select from resolver.realisation again
                                where again.derivation = n.derivation and again.output = n.output and again.path = n.path
                                  and again.ceased_at is null));
    v_resolutions := array(
        select r.resolution from resolver.resolution r where r.derivation = any (v_seen) and (r.released_at < v_before or r.derivation = any (v_gone))
        union
        select r.resolution from resolver.resolution r where r.resolved = any (v_gone));
    v_failures := array(
        select f.failure from resolver.failure f
         where f.derivation = any (v_gone)
            or f.derivation = any (v_seen) and f.cleared_at < v_before and not f.is_reopening
               and not exists (select from resolver.goal g
                                where g.cause = f.derivation and g.build <> all (v_goals)
                                  and coalesce(g.blamed_at, g.ended_at) between f.time and f.cleared_at));
    v_leases := array(select l.lease from resolver.lease l where l.closed_at < v_before
                       order by l.closed_at limit case when p_dry_run and p_after = 0 then null when p_dry_run then 0 else v_limit end);
    if not p_dry_run then
        perform resolver.delete_pruned(v_gone, v_goals, v_realisations, v_resolutions, v_failures, v_leases);
        if cardinality(v_leases) = v_limit then
            v_next := coalesce(v_next, v_seen[cardinality(v_seen)], p_after);
        end if;
    end if;
    return jsonb_build_object(
        'derivations', cardinality(v_gone), 'realisations', cardinality(v_realisations), 'resolutions', cardinality(v_resolutions),
        'failures', cardinality(v_failures), 'goals', cardinality(v_goals), 'leases', cardinality(v_leases), 'after', v_next);
end
$$;

comment on function resolver.prune(interval, bigint, boolean) is
    'Deletes a part of the records that are older than the age and that nothing needs; never the trace of a valid path.';
