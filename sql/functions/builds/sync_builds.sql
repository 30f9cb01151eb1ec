-- sync_builds(retry, accept): makes goals match Hydra's Builds, from whatever state they are in.
--
-- New and restarted builds become goals; cancelled and deleted ones stop being goals; a build whose drvPath was changed
-- follows the new one. Priorities and time limits that have grown, or were not carried down by an older release, reach what
-- the build needs. Known failures of class builder end a goal as cached failures; all do for builds in accept, none
-- for builds in retry, and for those that were restarted; that a build has ended before is seen by its status.
--
-- Returns   whether there is more (a bounded number is done at a time)
-- Stages    realised -> unloaded, for roots: load has to look before a build may end as cached
-- Locks     the graph lock, only if there is something to do
-- Notifies  derivation_wanted
create or replace function resolver.sync_builds(p_retry integer[] default '{}', p_accept integer[] default '{}') returns boolean
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit  constant integer := 1000;
    v_locked boolean;
    v_closed integer[];
    v_opened integer[];
begin
    -- Once to see whether there is anything, and again under the lock: another worker may have done it, and more.
    for v_locked in select unnest('{false,true}'::boolean[]) loop
        if v_locked then
            perform resolver.failpoint('sync_builds: there is something');
            perform resolver.lock_graph();
        end if;
        -- finished + 0, here and wherever a build is looked for by its id: among 300 million builds the planner knows of none that are
        -- unfinished, and would look through all that are for each one.
        v_closed := array(
            select g.build from resolver.goal g
             where g.ended is null and not exists (select from public.Builds b where b.id = g.build and b.finished + 0 = 0)
            union all
            select g.build from resolver.goal g
             where g.ended is not null and g.recorded is null
               and not exists (select from public.Builds b where b.id = g.build)
             limit v_limit);
        v_opened := array(
            select b.id
              from public.Builds b
              left join resolver.goal g on g.build = b.id
              left join resolver.derivation d on d.derivation = g.root
             where b.finished = 0
               and (g.build is null or g.recorded is not null or d.drv <> resolver.base_name(b.drvPath)
                    or exists (select from resolver.derivation_state s
                                where s.derivation = g.root and g.ended is null and s.stage not in ('realised', 'failed')
                                  and ((b.globalPriority, b.priority) > (s.global_priority, s.priority)
                                       or case when b.maxsilent = 0 then 2147483647 else b.maxsilent end > coalesce(s.max_silent, 3600)
                                       or case when b.timeout = 0 then 2147483647 else b.timeout end > coalesce(s.timeout, 36000))))
             order by b.id limit v_limit);
        if cardinality(v_closed) + cardinality(v_opened) = 0 then
            return false;
        end if;
    end loop;

    delete from resolver.goal g
     where g.build = any (v_closed) and not exists (select from public.Builds b where b.id = g.build);
    update resolver.goal g
       set ended = resolver.clock(), recorded = resolver.clock(), cached = false, status = coalesce(b.buildStatus, 4)
      from public.Builds b
     where g.build = any (v_closed) and g.ended is null and b.id = g.build and b.finished = 1;
    -- A failure by which such a build ended may have been cleared by others: a restart is for all that ended by it.
    update resolver.failure f set reopening = true
     where f.failure = any (array(
               select x.failure
                 from resolver.goal g
                 join resolver.derivation d on d.derivation = g.root
                 join public.Builds b on b.id = g.build and resolver.base_name(b.drvPath) = d.drv
                -- offset: few failures are cleared, says the planner, and begins with all of them.
                cross join lateral (select c.failure from resolver.failure c
                                     where c.derivation = g.cause and c.cleared is not null
                                       and coalesce(g.blamed, g.ended) between c.time and c.cleared offset 0) x
                where g.build = any (v_opened) and g.recorded is not null));
    perform resolver.recall_failures(array(
        select b.id from public.Builds b
         where b.id = any (v_opened) and b.finished + 0 = 0 and b.buildStatus not in (0, 4, 6)
           and not exists (select from resolver.goal g where g.build = b.id)));
    perform resolver.open_goals(
        v_opened,
        p_retry || array(select b.id from public.Builds b where b.id = any (v_opened) and b.buildStatus is not null),
        p_accept);
    perform resolver.continue_walks();
    perform resolver.reopen_builds(1000);
    perform resolver.record_ends(100);
    return cardinality(v_closed) = v_limit or cardinality(v_opened) = v_limit;
end
$$;

comment on function resolver.sync_builds(integer[], integer[]) is
    'Makes goals match Hydra''s Builds; true when it should be called again. Known failures are tried again for builds in retry, end those in accept.';
