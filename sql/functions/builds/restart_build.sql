-- restart_build(build): restarts a build, as a user does on Hydra's page: it is built again, and known failures are tried again.
--
-- Raises    NX018 if there is no such finished build
create or replace function resolver.restart_build(p_build integer) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, public, pg_temp
as $$
begin
    perform resolver.limit_idle_transaction();
    -- Hydra's row comes first: no session may wait for it under the graph lock.
    update public.Builds b set finished = 0, isCachedBuild = 0 where b.id = p_build and b.finished = 1;
    if not found then
        raise exception 'there is no such finished build'
            using errcode = 'NX018', detail = format('Build %s.', p_build), hint = 'Only a finished build can be restarted.';
    end if;
    perform resolver.failpoint('restart_build: restarted');
    perform resolver.lock_graph();
    perform resolver.sync_goals(array[p_build]);
    perform resolver.run_deferred_work(50);
end
$$;

comment on function resolver.restart_build(integer) is 'Restarts a finished build.';
