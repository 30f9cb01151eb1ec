-- restore_forgotten_failures(builds): marks the failures that ended these restarted builds, as Hydra's rows show: their goals were pruned.
--
-- Each failure is marked as cleared by a user: see restart_affected_builds(). If a failure was pruned as well, it is recorded again.
-- Locks     the caller holds the graph lock.
create or replace function resolver.restore_forgotten_failures(p_builds integer[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now    timestamptz := resolver.clock();
    v_drvs   text[];
    v_ended  integer[];
    v_causes bigint[];
begin
    select coalesce(array_agg(x.drv order by x.drv, x.ended_at), '{}'), coalesce(array_agg(x.ended_at order by x.drv, x.ended_at), '{}')
      into v_drvs, v_ended
      from (select distinct resolver.base_name(s.drvPath) as drv, coalesce(b.stopTime, resolver.hydra_time(v_now)) as ended_at
              from public.BuildSteps s join public.Builds b on b.id = s.build
             where s.build = any (p_builds)
               and s.type = 0 and s.busy = 0 and s.status not in (0, 4, 13) and resolver.is_drv(resolver.base_name(s.drvPath))) x;
    if cardinality(v_drvs) = 0 then
        return;
    end if;
    with new as (
        insert into resolver.derivation (drv) select distinct x from unnest(v_drvs) x order by 1
        on conflict do nothing
        returning derivation
    )
    insert into resolver.derivation_state (derivation) select n.derivation from new n;
    v_causes := array(select d.derivation from unnest(v_drvs) with ordinality x (drv, nr)
                        join resolver.derivation d on d.drv = x.drv order by x.nr);

    -- A failure in force is cleared when a restarted build meets it.
    insert into resolver.failure (derivation, class, status, time, cleared_at)
    select distinct on (x.cause, h.time) x.cause, h.class, h.status, to_timestamp(h.time), v_now
      from unnest(v_causes, v_drvs, v_ended) x (cause, drv, ended_at)
     cross join lateral (
          select case when s.status in (1, 8, 12) then 'builder' when s.status in (7, 10, 11) then 'timeout'
                      when s.status = 9 then 'unsupported' else 'transient' end as class,
                 case when s.status = 8 then 1 else s.status end as status,
                 coalesce(s.stopTime, x.ended_at) as time
            from public.BuildSteps s
           where s.drvPath = resolver.hydra_path(x.drv) and s.type = 0 and s.busy = 0 and s.status not in (0, 4, 13)
             and coalesce(s.stopTime, 0) <= x.ended_at
           order by s.stopTime desc nulls last limit 1) h
     where not exists (select from resolver.failure f
                        where f.derivation = x.cause and resolver.hydra_time(f.time) <= x.ended_at
                          and (f.cleared_at is null or resolver.hydra_time(f.cleared_at) >= x.ended_at));
    update resolver.failure f set is_reopening = true
     where f.failure = any (array(
               select c.failure
                 from unnest(v_causes, v_ended) x (cause, ended_at)
                -- offset: as in sync_goals_together().
                cross join lateral (select k.failure from resolver.failure k
                                     where k.derivation = x.cause and k.cleared_at is not null
                                       and x.ended_at between resolver.hydra_time(k.time) and resolver.hydra_time(k.cleared_at)
                                    offset 0) c));
end
$$;

comment on function resolver.restore_forgotten_failures(integer[]) is
    'Marks the failures that ended restarted builds, as Hydra''s rows show: the goals were pruned.';
