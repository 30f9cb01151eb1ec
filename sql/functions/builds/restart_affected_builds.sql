-- restart_affected_builds(limit): restarts builds that ended by a failure that a user had cleared, and by no other failure.
--
-- These builds depend on the failed derivation, or it is their root and the failure is of class builder: other failures of a root
-- are restarted only on request. Builds that were cancelled or got another derivation since stay as they are. If another failure is in
-- the way of a build, its goal records that failure, and the build is restarted together with it. If a goal was pruned, Hydra's rows
-- show by which failure its build ended; any other known failure ends the build again. All builds want their roots from the time
-- when the failure was cleared: if the derivation fails again before they are opened, they end, and it is not tried once more.
--
-- Returns   whether there may be more: something was done
-- Locks     the caller holds the graph lock. The counter of finished builds, then rows of Builds in the order of ids: both
--           SKIP LOCKED. A build that is skipped is done at a later tick.
-- Stages    realised -> unloaded, for their roots
-- Notifies  derivation_wanted
create or replace function resolver.restart_affected_builds(p_limit integer) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_failures  bigint[];
    v_builds    integer[];
    v_held      integer[];
    v_forgotten integer[] := array[]::integer[];
    v_back      integer[];
    v_since     timestamptz[];
    v_cleared   timestamptz[] := array[]::timestamptz[];
begin
    if not exists (select from resolver.failure f where f.is_reopening)
       -- Other failures in the way of their roots are known only when these propagations have ended.
       or exists (select from resolver.propagation w where w.kind in ('clear', 'follow', 'fail')) then
        return false;
    end if;
    select coalesce(array_agg(distinct c.failure) filter (where not c.held), '{}'),
           coalesce(array_agg(c.build) filter (where not c.held), '{}'), coalesce(array_agg(c.cleared_at) filter (where not c.held), '{}'),
           coalesce(array_agg(c.build) filter (where c.held), '{}')
      into v_failures, v_builds, v_since, v_held
      from (select f.failure, f.cleared_at, g.build, s.stage = 'failed' or s.failed_dependency is not null as held
              from resolver.failure f
              join resolver.goal g on g.cause = f.derivation and coalesce(g.blamed_at, g.ended_at) between f.time and f.cleared_at
              join resolver.derivation_state s on s.derivation = g.root
              join resolver.derivation d on d.derivation = g.root
              join public.Builds b on b.id = g.build
             where f.is_reopening and (g.status = 2 or f.class = 'builder')
               and b.drvPath = resolver.hydra_path(d.drv)
               and case when g.recorded_at is null then b.finished = 0 else b.finished = 1 and b.buildStatus = g.status end
             limit p_limit) c;
    update resolver.goal g set cause = resolver.failure_cause(g.root), blamed_at = resolver.clock() where g.build = any (v_held);
    if cardinality(v_builds || v_held) < p_limit then
        select v_failures || coalesce(array_agg(distinct c.failure), '{}'), coalesce(array_agg(c.build), '{}'), coalesce(array_agg(c.cleared_at), '{}')
          into v_failures, v_forgotten, v_cleared
          from (select distinct f.failure, f.cleared_at, s.build
                  from resolver.failure f
                  join resolver.derivation d on d.derivation = f.derivation
                 -- offset: makes the planner go from failures to steps to builds, whatever its estimates are.
                 cross join lateral (select resolver.hydra_path(d.drv) as drv offset 0) x
                 cross join lateral (select s.build from public.BuildSteps s
                                      where s.drvPath = x.drv and s.type = 0 and s.busy = 0 and s.status not in (0, 4, 13) offset 0) s
                  join public.Builds b on b.id = s.build
                 where f.is_reopening and b.finished = 1 and (b.buildStatus = 2 or f.class = 'builder' and b.buildStatus not in (0, 4, 6))
                   and b.stopTime between resolver.hydra_time(f.time) and resolver.hydra_time(f.cleared_at)
                   and not exists (select from resolver.goal g where g.build = s.build)
                 limit p_limit - cardinality(v_builds || v_held)) c;
    end if;
    if cardinality(v_builds || v_held || v_forgotten) < p_limit then
        update resolver.failure f set is_reopening = false where f.is_reopening and f.failure <> all (v_failures);
    end if;
    if cardinality(v_builds || v_forgotten) = 0 or not resolver.lock_finished_counter() then
        return v_held <> '{}';
    end if;

    v_back := v_builds || v_forgotten;
    v_builds := array(
        select b.id from public.Builds b left join resolver.goal g on g.build = b.id
         where b.id = any (v_back) and (b.finished = 0 or g.build is null or b.buildStatus = g.status)
         order by b.id
           for update of b skip locked);
    update public.Builds b set finished = 0, isCachedBuild = 0 where b.id = any (v_builds) and b.finished = 1;
    perform resolver.open_goals(v_builds, array(select x from unnest(v_builds) x where x <> all (v_forgotten)), '{}');
    update resolver.goal g set opened_at = x.since
      from (select u.build, max(u.since) as since from unnest(v_back, v_since || v_cleared) u (build, since) group by u.build) x
     where g.build = x.build and g.build = any (v_builds) and g.opened_at > x.since;
    return v_builds || v_held <> '{}';
end
$$;

comment on function resolver.restart_affected_builds(integer) is 'After a restart: restarts other builds that ended by the same failure.';
