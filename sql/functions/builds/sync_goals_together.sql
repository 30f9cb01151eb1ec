-- sync_goals_together(builds): as sync_goals(): follows all builds, or raises an error.
create or replace function resolver.sync_goals_together(p_builds integer[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_gone    integer[];
    v_closed  integer[];
    v_changed integer[];
    v_opened  integer[];
begin
    v_gone := array(
        select g.build from resolver.goal g
         where g.build = any (p_builds) and (g.ended_at is null or g.recorded_at is null)
           and not exists (select from public.Builds b where b.id = g.build));
    v_changed := array(
        select g.build
          from resolver.goal g
          join resolver.derivation d on d.derivation = g.root
          join public.Builds b on b.id = g.build and b.finished + 0 = 0 and right(b.drvPath, length(d.drv)) <> d.drv
         where g.build = any (p_builds));
    delete from resolver.goal g where g.build = any (v_gone);
    update resolver.goal g
       set ended_at = coalesce(g.ended_at, resolver.clock()), recorded_at = resolver.clock(), is_cached = false, status = coalesce(g.status, 4)
     where g.build = any (v_changed) and g.recorded_at is null;
    with closed as (
        update resolver.goal g
           set ended_at = resolver.clock(), recorded_at = resolver.clock(), is_cached = false, status = coalesce(b.buildStatus, 4)
          from public.Builds b
         where g.build = any (p_builds) and g.ended_at is null and b.id = g.build and b.finished = 1
        returning g.build
    )
    select array_agg(c.build) into v_closed from closed c;
    perform resolver.start_propagations('disown', v_gone || v_changed || coalesce(v_closed, '{}'));
    -- A build gives up its derivations first: otherwise it would count them as wanted already.
    perform resolver.run_propagations();
    insert into resolver.build_request (build) select b from unnest(v_changed) b on conflict do nothing;

    v_opened := array(
        select b.id
          from public.Builds b
          left join resolver.goal g on g.build = b.id
          left join resolver.derivation_state s on s.derivation = g.root
         where b.id = any (p_builds) and b.finished + 0 = 0
           and not exists (select from resolver.propagation d where d.kind = 'disown' and d.subject = b.id)
           and (g.build is null or g.recorded_at is not null
                or g.ended_at is null and s.stage not in ('realised', 'failed')
                   and ((b.globalPriority, b.priority) > (s.global_priority, s.priority)
                        or case when b.maxsilent = 0 then 2147483647 else b.maxsilent end > coalesce(s.max_silent, 3600)
                        or case when b.timeout = 0 then 2147483647 else b.timeout end > coalesce(s.timeout, 36000)))
         order by b.id);
    perform resolver.fail_invalid_build(b.id, format('drvPath %L is not the path of a .drv file', left(b.drvPath, 300)))
       from public.Builds b
      where b.id = any (v_opened) and not resolver.is_drv(resolver.base_name(b.drvPath));
    v_opened := array(select b.id from public.Builds b
                       where b.id = any (v_opened) and resolver.is_drv(resolver.base_name(b.drvPath)) order by b.id);
    -- The failure that ended such a build may have been cleared already: a restart is for all builds that it ended.
    update resolver.failure f set is_reopening = true
     where f.failure = any (array(
               select x.failure
                 from resolver.goal g
                 join resolver.derivation d on d.derivation = g.root
                 join public.Builds b on b.id = g.build and right(b.drvPath, length(d.drv)) = d.drv
                -- offset: the planner estimates that few failures are cleared, and begins with all of them.
                cross join lateral (select c.failure from resolver.failure c
                                     where c.derivation = g.cause and c.cleared_at is not null
                                       and coalesce(g.blamed_at, g.ended_at) between c.time and c.cleared_at offset 0) x
                where g.build = any (v_opened) and g.recorded_at is not null));
    perform resolver.restore_forgotten_failures(array(
        select b.id from public.Builds b
         where b.id = any (v_opened) and b.buildStatus not in (0, 4, 6)
           and not exists (select from resolver.goal g where g.build = b.id)));
    perform resolver.open_goals(
        v_opened,
        array(select b.id from public.Builds b left join resolver.build_request w on w.build = b.id
               where b.id = any (v_opened) and (b.buildStatus is not null or w.retry)),
        array(select w.build from resolver.build_request w where w.build = any (v_opened) and not w.retry));
    delete from resolver.build_request w
     where w.build = any (p_builds) and not exists (select from resolver.propagation d where d.kind = 'disown' and d.subject = w.build);
end
$$;

comment on function resolver.sync_goals_together(integer[]) is 'Makes goals match Hydra''s rows of these builds.';
revoke all on function resolver.sync_goals_together(integer[]) from public;
