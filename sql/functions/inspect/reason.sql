-- reason(derivation): returns in words why a derivation does not move, or what is under way.
create or replace function resolver.reason(p_derivation bigint) returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select case
        when s.stage = 'realised' then 'all outputs that are wanted are there'
        when s.stage = 'building' then 'is being built'
        when s.stage = 'failed' then coalesce(
            (select format('failed (%s)%s', f.class, coalesce(': ' || f.message, ''))
               from resolver.failure f where f.derivation = s.derivation and f.cleared_at is null), 'its resolved derivation failed')
        when s.stage = 'waiting' then
            (select format('waits for %s of its %s inputs',
                           count(*) filter (where cardinality(dep.outputs) > (
                               select count(*) from resolver.output o
                                where o.derivation = dep.input and o.name = any (dep.outputs) and o.valid_since is not null)), count(*))
               from resolver.dependency dep where dep.derivation = s.derivation)
        when s.stage = 'resolved' then 'waits for its resolved derivation'
        when s.owner is null then 'no unfinished build needs it'
        when s.stage = 'unloaded' then
            case when s.lease is not null then 'is being loaded'
                 when exists (select from resolver.live_workers() w where 'load' = any (w.verbs)) then 'waits for a worker to load it'
                 else 'no worker loads derivations' end
        when s.stage = 'resolvable' then
            case when s.lease is not null then 'is being resolved'
                 when exists (select from resolver.live_workers() w where 'resolve' = any (w.verbs)) then 'waits for a worker to resolve it'
                 else 'no worker resolves derivations' end
        when s.not_before > resolver.clock() then
            'is tried again at ' || to_char(s.not_before, 'HH24:MI:SS TZ') || coalesce((
                -- An aggregate: with a limit the planner might walk all steps by time.
                select ': ' || left(regexp_replace(regexp_replace((array_agg(b.errorMsg order by b.stopTime desc))[1],
                           '^Cannot build ''[^'']*''\.\s*Reason:\s*', ''), '\s+', ' ', 'g'), 300)
                  from public.BuildSteps b
                 where b.drvPath = resolver.hydra_path(d.drv) and b.status = 3), '')
        when resolver.missing_capabilities(s.machine_type) is not null then resolver.missing_capabilities(s.machine_type) || coalesce(
            '; fails at ' || to_char(case when m.unsupported_since < g.opened_at then g.opened_at else m.unsupported_since end
                                     + x.max_unsupported_time, 'YYYY-MM-DD HH24:MI TZ'), '')
        else 'waits for a worker to build it' end
      from resolver.derivation_state s
      join resolver.derivation d on d.derivation = s.derivation
      left join resolver.machine_type m on m.machine_type = s.machine_type
      left join resolver.goal g on g.build = s.owner
     cross join resolver.setting x
     where s.derivation = p_derivation
$$;

comment on function resolver.reason(bigint) is 'Why a derivation does not move, in words.';
