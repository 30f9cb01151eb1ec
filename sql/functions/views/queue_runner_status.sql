-- queue_runner_status(): returns the status of the queue with the names and units of `hydra-queue-runner --status`.
--
-- Counters start with the worker that has lived longest. {"status": "down"} if no worker lives.
create or replace function resolver.queue_runner_status() returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    with since as (
        select min(w.started_at) as started_at from resolver.live_workers() w
    ), unfinished as materialized (
        select s.stage, s.machine_type, s.tries
          from resolver.derivation_state s join resolver.goal g on g.build = s.owner and g.ended_at is null
         where s.stage not in ('resolved', 'realised', 'failed') and s.failed_dependency is null
    ), running as materialized (
        select s.machine_type, l.started_at
          from resolver.lease l join resolver.derivation_state s on s.derivation = l.derivation
         where l.closed_at is null and l.verb = 'build'
    ), machine_type as (
        select m.system || coalesce(':' || nullif(array_to_string(array(
                   select f from unnest(m.features || case when m.prefer_local then '{local}' else '{}' end::text[]) f order by f collate "C"),
                   ','), ''), '') as name,
               (select count(*) from unfinished u where u.stage = 'buildable' and u.machine_type = m.machine_type) as runnable,
               (select count(*) from running r where r.machine_type = m.machine_type) as running,
               m.unsupported_since
          from resolver.machine_type m
    )
    select case when x.started_at is null then '{"status": "down"}' else jsonb_build_object(
               'status', 'up', 'runner', 'hydra-resolver', 'time', resolver.hydra_time(resolver.clock()),
               'uptime', floor(extract(epoch from resolver.clock() - x.started_at)),
               'nrActiveSteps', (select count(*) from running r),
               'nrStepsBuilding', (select count(*) from running r where r.started_at is not null),
               'nrStepsWaiting', (select count(*) from running r where r.started_at is null),
               'nrRunnableSteps', (select count(*) from unfinished u where u.stage = 'buildable'),
               'nrUnfinishedSteps', (select count(*) from unfinished u),
               'nrUnsupportedSteps', (select coalesce(sum(m.runnable), 0) from machine_type m where m.unsupported_since is not null),
               'maxNrRetries', (select coalesce(max(u.tries), 0) from unfinished u),
               'nrQueuedBuilds', (select count(*) from resolver.goal g where g.ended_at is null),
               'nrStepsCopyingTo', 0, 'nrStepsCopyingFrom', 0, 'bytesSent', 0, 'bytesReceived', 0, 'nrQueueWakeups', 0,
               'machineTypes', (select coalesce(jsonb_object_agg(m.name, m.numbers), '{}')
                                  from (select y.name, jsonb_build_object('runnable', sum(y.runnable), 'running', sum(y.running)) as numbers
                                          from machine_type y group by y.name) m),
               'machines', (select coalesce(jsonb_object_agg(m.key, jsonb_build_object(
                                       'enabled', true, 'systemTypes', m.value -> 'systems', 'supportedFeatures', (m.value -> 'features') - array(
                                           select jsonb_array_elements_text(m.value -> 'mandatory')),
                                       'mandatoryFeatures', m.value -> 'mandatory', 'currentJobs', m.value -> 'running',
                                       'nrStepsDone', 0)), '{}')
                              from jsonb_each(resolver.machines()) m))
               || (select jsonb_build_object('nrBuildsRead', count(*) filter (where g.opened_at >= x.started_at),
                                             'nrBuildsDone', count(*) filter (where g.recorded_at >= x.started_at))
                     from resolver.goal g)
               || (select jsonb_build_object(
                              'nrStepsDone', count(*), 'nrRetries', count(*) filter (where l.outcome = 'retried'),
                              'avgStepTime', coalesce(round(avg(extract(epoch from l.closed_at - l.opened_at)), 3), 0),
                              'avgStepBuildTime', coalesce(round(avg(extract(epoch from l.closed_at - l.started_at)), 3), 0))
                     from resolver.lease l
                    where l.closed_at >= x.started_at and l.verb = 'build' and l.outcome in ('done', 'failed', 'retried'))
           end
      from since x
$$;

comment on function resolver.queue_runner_status() is 'The status of the queue, in the form of Hydra''s own queue runner.';
