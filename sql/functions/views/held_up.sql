-- held_up(derivation): why it does not move: walks from what is watched, and followed, down to what could move.
--
-- Returns   {"drv", "stage", "reason"}
create or replace function resolver.held_up(p_derivation bigint) returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    with recursive chain as (
        select p_derivation as derivation, 0 as depth
        union all
        select coalesce(w.input, s.resolved_to), c.depth + 1
          from chain c
          join resolver.derivation_state s on s.derivation = c.derivation
          left join resolver.watch w on w.derivation = c.derivation
         where s.stage in ('waiting', 'resolved') and coalesce(w.input, s.resolved_to) is not null and c.depth < 10000
    )
    select jsonb_build_object('drv', d.drv, 'stage', s.stage, 'reason',
               case s.stage
                   when 'unloaded' then case when s.lease is null then 'waits for a worker to load it' else 'is being loaded' end
                   when 'resolvable' then case when s.lease is null then 'waits for a worker to resolve it' else 'is being resolved' end
                   when 'building' then 'is being built'
                   when 'buildable' then
                       case when s.not_before > resolver.clock() then
                                'is tried again at ' || to_char(s.not_before, 'HH24:MI:SS TZ') || coalesce((
                                    -- An aggregate: with a limit the planner might walk all steps by time.
                                    select ': ' || left(regexp_replace(regexp_replace(
                                               (array_agg(b.errorMsg order by b.stopTime desc))[1],
                                               '^Cannot build ''[^'']*''\.\s*Reason:\s*', ''), '\s+', ' ', 'g'), 300)
                                      from public.BuildSteps b
                                     where b.drvPath = resolver.hydra_path(d.drv) and b.status = 3), '')
                            when not exists (select from resolver.worker w
                                              where w.gone is null and 'build' = any (w.verbs)
                                                and (d.system = any (w.systems) or d.system = 'builtin'))
                                then format('no worker builds for %s', d.system)
                            when not exists (select from resolver.worker w
                                              where w.gone is null and 'build' = any (w.verbs)
                                                and (d.system = any (w.systems) or d.system = 'builtin') and d.features <@ w.features)
                                then format('no worker for %s has the system features %s', d.system, array_to_string(d.features, ', '))
                            else 'waits for a worker to build it' end
                   when 'failed' then 'failed'
                   else s.stage end)
      from chain c
      join resolver.derivation_state s on s.derivation = c.derivation
      join resolver.derivation d on d.derivation = c.derivation
     order by c.depth desc
     limit 1
$$;

comment on function resolver.held_up(bigint) is 'The derivation at the end of the chain of watching and following, and why it does not move.';
