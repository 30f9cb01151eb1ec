-- explain(drv), explain(build): returns why a derivation is not built yet, or how it ended, as one object; null if it is unknown.
--
-- {"drv", "stage", "build": {"build", "job", "finished", "status", "cached"} or null, "wanted_by": build or null,
--  "chain": [{"drv", "stage", "how", "reason", "claim": {"worker", "build", "stepnr", "seconds"} or null,
--             "producer": {"drv", "output"} that wrote its .drv, or null}]}
-- In the chain each derivation waits for the next one. The last link could move, or has the reason why nothing can.
create or replace function resolver.explain(p_drv text default null, p_build integer default null) returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, public, pg_temp
as $$
    select jsonb_build_object(
        'drv', d.drv, 'stage', s.stage,
        'build', (select jsonb_build_object('build', b.id, 'job', b.job, 'finished', b.finished = 1, 'status', b.buildStatus,
                                            'cached', b.isCachedBuild = 1)
                    from public.Builds b where b.id = p_build),
        'wanted_by', (select g.build from resolver.goal g where g.build = s.owner and g.ended_at is null),
        'chain', (select jsonb_agg(jsonb_build_object('drv', cd.drv, 'stage', cs.stage, 'how', c.how,
                                                      'reason', resolver.reason(c.derivation), 'claim', l.claim,
                                                      'producer', resolver.producer_of(cd.drv)) order by c.depth)
                    from resolver.chain_of(d.derivation) c
                    join resolver.derivation cd on cd.derivation = c.derivation
                    join resolver.derivation_state cs on cs.derivation = c.derivation
                    left join lateral (
                         select jsonb_build_object('worker', w.name, 'build', l.build, 'stepnr', l.stepnr,
                                                   'seconds', extract(epoch from resolver.clock() - l.opened_at)) as claim
                           from resolver.lease l join resolver.worker w on w.worker = l.worker
                          where l.lease = cs.lease) l on true))
      from resolver.derivation d join resolver.derivation_state s on s.derivation = d.derivation
     where d.drv = coalesce((select resolver.base_name(b.drvPath) from public.Builds b where b.id = p_build),
                            resolver.base_name(p_drv))
$$;

comment on function resolver.explain(text, integer) is 'Why a derivation, or a build''s derivation, is not built yet.';
