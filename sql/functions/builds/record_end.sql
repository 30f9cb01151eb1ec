-- record_end(build): one build is finished in Hydra's tables.
--
-- Returns   whether it was: not when somebody else finished it first.
-- Locks     the caller holds the graph lock and the build's row.
create or replace function resolver.record_end(p_build integer) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_goal     resolver.goal;
    v_step     record;
    v_now      integer;
    v_finished boolean;
begin
    select * into v_goal from resolver.goal g where g.build = p_build;
    v_now := resolver.hydra_time(v_goal.ended);
    if v_goal.cause is not null then
        perform resolver.record_failure_rows(v_goal);
    end if;
    select min(s.startTime) as started into v_step
      from public.BuildSteps s
     where s.build + 0 = p_build and s.type = 0 and s.startTime is not null
       and s.drvPath in (select resolver.hydra_path(d.drv)
                           from resolver.derivation_state t
                           join resolver.derivation d on d.derivation in (t.derivation, t.resolved_to, t.failed_dependency)
                          where t.derivation = v_goal.root)
       and (s.status is distinct from 13);

    update public.Builds b
       set finished = 1, buildStatus = v_goal.status, isCachedBuild = v_goal.cached::integer,
           startTime = case when v_goal.cached then v_now else coalesce(v_step.started, v_now) end, stopTime = v_now,
           size = (v_goal.info ->> 'size')::bigint, closureSize = (v_goal.info ->> 'closure_size')::bigint,
           releaseName = v_goal.info ->> 'release_name', notificationPendingSince = v_now
     where b.id = p_build and b.finished = 0;
    v_finished := found;
    update resolver.goal g set recorded = resolver.clock() where g.build = p_build and g.recorded is null;
    if v_finished and v_goal.info is not null then
        perform resolver.record_products(v_goal);
    end if;
    return v_finished;
end
$$;

comment on function resolver.record_end(integer) is 'Writes the end of a build into Hydra''s tables.';
