-- fail_invalid_build(build, reason): an unfinished build that cannot become a goal ends as aborted; a step row has the reason.
--
-- Locks     the caller holds the graph lock. The counter of finished builds, then the row of the build: both SKIP LOCKED. If one is
--           not free, the build is looked at again later.
-- Notifies  step_finished, build_finished
create or replace function resolver.fail_invalid_build(p_build integer, p_reason text) returns void
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_now    integer := resolver.hydra_time(resolver.clock());
    v_build  record;
    v_stepnr integer;
begin
    if not resolver.lock_finished_counter() then
        return;
    end if;
    select b.drvPath, b.system into v_build from public.Builds b where b.id = p_build and b.finished + 0 = 0 for update skip locked;
    if not found then
        return;
    end if;
    insert into public.BuildSteps (build, stepnr, type, drvPath, busy, status, errorMsg, startTime, stopTime, machine, system)
    select p_build, coalesce(max(s.stepnr), 0) + 1, 0, v_build.drvPath, 0, 3, p_reason, v_now, v_now, '', v_build.system
      from public.BuildSteps s where s.build = p_build
    returning stepnr into v_stepnr;
    update public.Builds b
       set finished = 1, buildStatus = 3, isCachedBuild = 0, startTime = v_now, stopTime = v_now, notificationPendingSince = v_now
     where b.id = p_build;
    delete from resolver.build_request w where w.build = p_build;
    perform pg_notify('step_finished', concat_ws(E'\t', p_build, v_stepnr, '-'));
    perform resolver.notify_finished(array[p_build]);
end
$$;

comment on function resolver.fail_invalid_build(integer, text) is 'Finishes a build that cannot be built at all, as aborted.';
revoke all on function resolver.fail_invalid_build(integer, text) from public;
