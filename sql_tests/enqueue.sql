-- enqueue(project, jobset, file, jobs, errors, retry): adds an evaluation with new builds, as Hydra's evaluator does.
\ir include/farm.sql

create function pg_temp.job(p_name text, p_more jsonb default '{}') returns jsonb language sql as $$
    select jsonb_build_object('job', p_name, 'drv', t.full(t.drv(p_name)), 'system', 'x86_64-linux', 'nix_name', p_name,
                              'outputs', jsonb_build_object('out', null)) || p_more
$$;
create function pg_temp.enqueue(p_jobs jsonb, p_retry boolean default true, p_errors text default null) returns integer[]
    language plpgsql as $$
declare
    v_builds integer[] := resolver.enqueue('local', 'demo', 'demo.nix', p_jobs, p_errors, p_retry);
begin
    delete from t.job;
    insert into t.job select p_jobs -> (nr - 1)::integer ->> 'job', b from unnest(v_builds) with ordinality u (b, nr);
    return v_builds;
end
$$;
select t.derivation('a');
select t.derivation('b', '{a}', p_outputs => '{out,dev}');
select is(cardinality(pg_temp.enqueue(jsonb_build_array(
              pg_temp.job('a', '{"description": "A tool", "license": "MIT", "homepage": "https://a", "maintainers": "x@y",
                                 "max_silent": 10, "timeout": 20, "priority": 5, "is_channel": true}'),
              pg_temp.job('b', jsonb_build_object('outputs', jsonb_build_object('out', null, 'dev', t.full(t.path('b-dev')))))))), 2,
          'two jobs become two builds');
select ok(t.id('a') < t.id('b'), 'the builds are in the order of the jobs');
select results_eq(
    $$select project, name, nixExprInput, nixExprPath, type, errorMsg, lastCheckedTime from Jobsets where project = 'local'$$,
    $$select 'local', 'demo', 'file', 'demo.nix', 0, null::text, resolver.hydra_time(resolver.clock())$$, 'the jobset is added');
select results_eq(
    $$select finished, timestamp, job, nixName, description, drvPath, system, license, homepage, maintainers, maxsilent, timeout, isChannel,
             isCurrent, priority, globalPriority, buildStatus from Builds where id = t.id('a')$$,
    $$select 0, resolver.hydra_time(resolver.clock()), 'a', 'a', 'A tool', t.full(t.drv('a')), 'x86_64-linux', 'MIT', 'https://a', 'x@y',
             10, 20, 1, 1, 5, 0, null::integer$$, 'the build has the values of its job');
select results_eq($$select maxsilent, timeout, isChannel, priority from Builds where id = t.id('b')$$, $$values (3600, 36000, 0, 100)$$,
                  'missing values are Hydra''s defaults');
select results_eq($$select name, path from BuildOutputs where build = t.id('b') order by name$$,
                  $$values ('dev', t.full(t.path('b-dev'))), ('out', null)$$,
                  'the build has its outputs; the path is null if it is not known');
select results_eq($$select hasNewBuilds, nrBuilds, timestamp, evaluationerror_id from JobsetEvals$$,
                  $$select 1, 2, resolver.hydra_time(resolver.clock()), null::integer$$, 'the evaluation is added');
select results_eq($$select m.build, m.isNew from JobsetEvalMembers m order by 1$$, $$values (t.id('a'), 1), (t.id('b'), 1)$$,
                  'the builds are members of the evaluation');
select is(resolver.all_finished(array[t.id('a'), t.id('b')]), false, 'the builds are not finished');
select t.fail('a') from (select t.load()) x;
select is(t.ended('a') || ', ' || t.ended('b'), 'status 1, status 2', 'work on the builds starts at once');
select is(resolver.all_finished(array[t.id('a'), t.id('b')]), true, 'the builds are finished');
select is(resolver.all_finished('{0}'), true, 'a deleted build does not count as unfinished');

-- Again.
select t.pass('1 hour');
select pg_temp.enqueue(jsonb_build_array(pg_temp.job('b')), false);
select t.load();
select is(t.ended('b'), 'status 2 cached', 'without retry, a cached failure ends the build');
select t.pass('1 hour');
select pg_temp.enqueue(jsonb_build_array(pg_temp.job('b')), true);
select t.work();
select is(t.ended('b'), 'status 0', 'with retry, the failed derivation is tried again');
select is((select count(*) from Jobsets where project = 'local'), 1::bigint, 'the jobset is added once');
select is((select count(*) from Builds where job = 'b'), 3::bigint, 'each call adds a new build');
select pg_temp.enqueue(jsonb_build_array(pg_temp.job('b')), true);
select t.load();
select is(t.ended('b'), 'status 0 cached', 'if the outputs are valid, the build is cached');

-- Back-off.
select t.derivation('f');
select pg_temp.enqueue(jsonb_build_array(pg_temp.job('f')));
select t.load();
select t.fail('f', 'transient', 3);
select pg_temp.enqueue(jsonb_build_array(pg_temp.job('f')), false);
select is(t.claim('build'), '{}', 'without retry, a back-off goes on');
select pg_temp.enqueue(jsonb_build_array(pg_temp.job('f')), true);
select is(t.claim('build'), '{f}', 'with retry, the back-off ends');
select t.finish('f');

-- Errors.
select is(pg_temp.enqueue('[]', true, 'attribute x: boom'), '{}', 'an evaluation may have only errors');
select is((select errorMsg from Jobsets where project = 'local'), 'attribute x: boom', 'the jobset has the errors');
select is((select e.errorMsg from JobsetEvals j join EvaluationErrors e on e.id = j.evaluationerror_id), 'attribute x: boom',
          'the evaluation has the errors');
select is((select hasNewBuilds from JobsetEvals order by id desc limit 1), 0, 'the evaluation has no new builds');
select pg_temp.enqueue(jsonb_build_array(pg_temp.job('b')), true);
select is((select errorMsg from Jobsets where project = 'local'), null, 'the next evaluation removes the errors');
select t.load();

-- Many.
select is(cardinality(resolver.enqueue('local', 'many', 'many.nix', (select jsonb_agg(pg_temp.job('a')) from generate_series(1, 1200)), null, true)), 1200,
          'one call adds more builds than are opened at once');
select is((select count(*) from resolver.goal where ended_at is null), 100::bigint, 'the call opens a bounded number of builds');
select t.go_on();
select is((select count(*) from resolver.goal where ended_at is null and retry), 1200::bigint,
          'the next calls open the others, and all of them try known failures again');
select t.load();
select t.go_on();

select * from t.done();
rollback;
