-- record_end(build): finishes one build in Hydra's tables.
--
-- Returns   whether it did: not if another program finished the build first, or holds a row that has to be written.
-- Locks     the caller holds the graph lock and the build's row.
create or replace function resolver.record_end(p_build integer) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_goal     resolver.goal;
    v_failure  resolver.failure;
    v_started  integer;
    v_now      integer;
    v_finished boolean;
begin
    if not resolver.lock_products(p_build) then
        return false;
    end if;
    select * into v_goal from resolver.goal g where g.build = p_build;
    v_now := resolver.hydra_time(v_goal.ended_at);
    if v_goal.cause is not null then
        v_failure := resolver.failure_of_goal(v_goal);
        perform resolver.record_failure_rows(v_goal, v_failure);
        select s.startTime into v_started from public.BuildSteps s where s.build = v_failure.build and s.stepnr = v_failure.stepnr;
    elsif not v_goal.is_cached then
        -- The latest start counts: the build may have been restarted.
        select max(s.startTime) into v_started
          from public.BuildSteps s
         where s.build + 0 = p_build and s.type = 0 and s.status is distinct from 13
           and s.drvPath in (select resolver.hydra_path(d.drv) from resolver.derivation d
                              where d.derivation = v_goal.root
                                 or d.derivation = (select r.resolved from resolver.resolution r
                                                     where r.derivation = v_goal.root and r.released_at is null));
    end if;

    update public.Builds b
       set finished = 1, buildStatus = v_goal.status, isCachedBuild = v_goal.is_cached::integer,
           startTime = case when v_goal.is_cached then v_now else coalesce(v_started, v_now) end, stopTime = v_now,
           size = (v_goal.info ->> 'size')::bigint, closureSize = (v_goal.info ->> 'closure_size')::bigint,
           releaseName = v_goal.info ->> 'release_name', notificationPendingSince = v_now
     where b.id = p_build and b.finished + 0 = 0;
    v_finished := found;
    update resolver.goal g set recorded_at = resolver.clock() where g.build = p_build and g.recorded_at is null;
    if v_finished and v_goal.info is not null then
        perform resolver.record_products(v_goal);
    end if;
    return v_finished;
end
$$;

comment on function resolver.record_end(integer) is 'Writes the end of a build into Hydra''s tables.';
