-- open_goals(builds, retry, accept): these unfinished builds become goals, and want their roots.
--
-- Stages    realised -> unloaded, for their roots
-- Locks     the caller holds the graph lock.
create or replace function resolver.open_goals(p_builds integer[], p_retry integer[], p_accept integer[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now   timestamptz := resolver.clock();
    v_roots bigint[];
begin
    if p_builds = '{}' then
        return;
    end if;
    with new as (
        insert into resolver.derivation (drv)
        select distinct resolver.base_name(b.drvPath) from public.Builds b where b.id = any (p_builds) order by 1
        on conflict do nothing
        returning derivation
    )
    insert into resolver.derivation_state (derivation) select n.derivation from new n;

    with opened as (
        insert into resolver.goal as g (build, root, jobset, opened_at, retry)
        select b.id, d.derivation, b.jobset_id, v_now, case when b.id = any (p_retry) then true when b.id = any (p_accept) then false end
          from public.Builds b join resolver.derivation d on d.drv = resolver.base_name(b.drvPath)
         where b.id = any (p_builds) and b.finished + 0 = 0
         order by b.id
        on conflict (build) do update
           set root = excluded.root, jobset = excluded.jobset, ended_at = null, status = null, cause = null, blamed_at = null, info = null,
               recorded_at = null, is_cached = case when g.ended_at is null then g.is_cached end,
               retry = case when g.root <> excluded.root then excluded.retry when g.recorded_at is not null then true else g.retry end,
               opened_at = case when g.recorded_at is not null then excluded.opened_at else g.opened_at end
        returning g.root
    )
    select array_agg(distinct o.root) into v_roots from opened o;
    if v_roots is null then
        return;
    end if;

    -- A root may be wanted already, with a higher priority, as an input of another derivation.
    update resolver.derivation_state s
       set stage = case when s.stage = 'realised' then 'unloaded' else s.stage end,
           resolved_to = case when s.stage = 'realised' then null else s.resolved_to end,
           owner = w.build, jobset = w.jobset, global_priority = w.global_priority, priority = w.priority,
           height = case when s.stage = 'realised' or s.owner is null then 0 else s.height end
      from (select distinct on (g.root) g.root, g.build, g.jobset, b.globalPriority as global_priority, b.priority
              from resolver.goal g join public.Builds b on b.id = g.build
             where g.root = any (v_roots) and g.root > 0 and g.ended_at is null
             order by g.root, b.globalPriority desc, b.priority desc, b.id) w
     where s.derivation = w.root
       and (s.owner is null or s.stage = 'realised' or (w.global_priority, w.priority) >= (s.global_priority, s.priority)
            or (select g.ended_at is null from resolver.goal g where g.build = s.owner) is not true);
    update resolver.derivation_state s
       set max_silent = greatest(s.max_silent, w.max_silent), timeout = greatest(s.timeout, w.timeout)
      from (select g.root, max(l.max_silent) filter (where l.max_silent > 3600) as max_silent,
                   max(l.timeout) filter (where l.timeout > 36000) as timeout
              from resolver.goal g
              join public.Builds b on b.id = g.build
             cross join lateral (select case when b.maxsilent = 0 then 2147483647 else b.maxsilent end as max_silent,
                                        case when b.timeout = 0 then 2147483647 else b.timeout end as timeout) l
             where g.root = any (v_roots) and g.root > 0 and g.ended_at is null
             group by g.root) w
     where s.derivation = w.root
       and (w.max_silent > coalesce(s.max_silent, 0) or w.timeout > coalesce(s.timeout, 0));
    update resolver.output o set is_wanted = true where o.derivation = any (v_roots) and not o.is_wanted;
    perform resolver.copy_wanted_outputs(v_roots);

    perform resolver.start_propagations('want', v_roots);
    perform resolver.start_propagations('fail', v_roots);
    -- If a user asks again, the build does not wait for a back-off.
    update resolver.derivation_state s set not_before = null
     where s.not_before > v_now
       and s.owner in (select g.build from resolver.goal g
                        where g.ended_at is null and g.root in (select n.root from resolver.goal n where n.build = any (p_retry)));
    if found then
        perform pg_notify('step_ready', '');
    end if;
    perform pg_notify('derivation_wanted', '');
end
$$;

comment on function resolver.open_goals(integer[], integer[], integer[]) is 'Unfinished builds become goals, and want their roots.';
