-- cancel_build(build): cancels a build, as a user does on Hydra's page: the build ends as cancelled; its derivations stay as they are.
--
-- Raises    NX017 if there is no such unfinished build
create or replace function resolver.cancel_build(p_build integer) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_now integer := resolver.hydra_time(resolver.clock());
begin
    perform resolver.limit_idle_transaction();
    -- Hydra's row comes first: no session may wait for it under the graph lock.
    update public.Builds b
       set finished = 1, buildStatus = 4, isCachedBuild = 0, startTime = v_now, stopTime = v_now,
           notificationPendingSince = v_now
     where b.id = p_build and b.finished + 0 = 0;
    if not found then
        raise exception 'there is no such unfinished build'
            using errcode = 'NX017', detail = format('Build %s.', p_build), hint = 'Only a build that is not finished can be cancelled.';
    end if;
    perform resolver.failpoint('cancel_build: cancelled');
    perform resolver.notify_finished(array[p_build]);
    perform resolver.lock_graph();
    perform resolver.sync_goals(array[p_build]);
    perform resolver.run_deferred_work(50);
end
$$;

comment on function resolver.cancel_build(integer) is 'Cancels an unfinished build.';
