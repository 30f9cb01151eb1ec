-- sync_builds(retry, accept, all): makes goals match Hydra's Builds, from whatever state they are in.
--
-- New and restarted builds become goals; cancelled and deleted builds stop being goals; a build whose drvPath was changed
-- follows the new one. If priorities and time limits have grown, or an older release did not propagate them, they reach the
-- derivations that the build needs.
--
-- A call costs the same however many builds are open. It finds new builds at once, and changes of others by a pass over all of them, a
-- part at a time: once a minute, or if p_all asks for it. Workers ask for it when Hydra notifies a change.
-- Known failures of class builder end a goal as cached failures. For builds in accept all known failures do; for builds in retry, and
-- for restarted builds, none do.
-- Returns   whether there is more (a bounded number is done at a time)
-- Stages    realised -> unloaded, for roots: load has to look before a build may end as cached
-- Locks     the graph lock, only if there is something to do; before that the row of build_scan, SKIP LOCKED
-- Notifies  derivation_wanted
create or replace function resolver.sync_builds(
    p_retry integer[] default '{}', p_accept integer[] default '{}', p_all boolean default true
) returns boolean
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_builds integer[];
    v_more   boolean;
begin
    perform resolver.limit_idle_transaction();
    if p_retry || p_accept <> '{}' then
        insert into resolver.build_request as w (build, retry)
        select b.id, b.id = any (p_retry) from public.Builds b where b.id = any (p_retry || p_accept) and b.finished + 0 = 0
        on conflict (build) do update set retry = excluded.retry;
    end if;
    select c.builds, c.more into v_builds, v_more from resolver.changed_builds(p_all) c;
    if v_builds <> '{}' then
        perform resolver.failpoint('sync_builds: there is something');
        perform resolver.lock_graph();
        perform resolver.sync_goals(v_builds);
        perform resolver.run_deferred_work(50);
    end if;
    return v_more;
end
$$;

comment on function resolver.sync_builds(integer[], integer[], boolean) is
    'Makes goals match Hydra''s Builds; true if it should be called again.';
