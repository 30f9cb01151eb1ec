-- status(): returns the state of the farm for people, as one object.
create or replace function resolver.status() returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'stages', (select coalesce(jsonb_object_agg(x.stage, x.n), '{}')
                     from (select s.stage, count(*) as n from resolver.derivation_state s group by s.stage) x),
        'running', (select coalesce(jsonb_agg(jsonb_build_object(
                               'build', l.build, 'stepnr', l.stepnr, 'drv', d.drv, 'worker', w.name,
                               'seconds', extract(epoch from resolver.clock() - l.opened_at)) order by l.lease), '[]')
                      from resolver.lease l
                      join resolver.derivation d on d.derivation = l.derivation
                      join resolver.worker w on w.worker = l.worker
                     where l.closed_at is null and l.verb = 'build'),
        'workers', (select coalesce(jsonb_agg(jsonb_build_object(
                               'worker', w.worker, 'name', w.name, 'verbs', w.verbs, 'jobs', w.jobs,
                               'systems', (select coalesce(jsonb_agg(distinct x.system order by x.system), '[]')
                                             from (select unnest(w.systems) as system
                                                   union all select unnest(b.systems) from unnest(w.builders) b) x),
                               'silent_seconds', extract(epoch from resolver.clock() - w.heartbeat)) order by w.worker), '[]')
                      from resolver.worker w where w.gone_at is null),
        'unsupported', (select coalesce(jsonb_agg(jsonb_build_object(
                                   'system', m.system, 'features', m.features, 'reason', coalesce(resolver.missing_capabilities(m.machine_type), 'there is a worker now'),
                                   'seconds', extract(epoch from resolver.clock() - m.unsupported_since),
                                   'limit_seconds', (select extract(epoch from x.max_unsupported_time) from resolver.setting x))
                                   order by m.unsupported_since), '[]')
                          from resolver.machine_type m where m.unsupported_since is not null),
        'builds', (select coalesce(jsonb_agg(jsonb_build_object(
                              'build', g.build, 'job', b.job, 'drv', d.drv, 'stage', s.stage,
                              'held_up', resolver.blocking_derivations(g.root)) order by g.build), '[]')
                     from (select * from resolver.goal o where o.ended_at is null and o.build > 0 order by o.build limit 100) g
                     join public.Builds b on b.id = g.build
                     join resolver.derivation d on d.derivation = g.root
                     join resolver.derivation_state s on s.derivation = g.root),
        'unfinished_builds', (select count(*) from resolver.goal g where g.ended_at is null),
        'failures', (select count(*) from resolver.failure f where f.cleared_at is null))
$$;

comment on function resolver.status() is 'Derivations by stage, running steps, workers, unfinished builds and what holds them up.';
