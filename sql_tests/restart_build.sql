-- restart_build(build): restarts a finished build.
\ir include/farm.sql

select throws_ok('select resolver.restart_build(0)', 'NX018', 'there is no such finished build', 'an unknown build cannot be restarted');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select t.want('b', 'b');
select t.load();
select t.keep();
select throws_ok($$select resolver.restart_build(t.id('c'))$$, 'NX018', 'there is no such finished build',
                 'an unfinished build cannot be restarted');
select is(t.changed(), '{}', 'the refused call changes nothing');
select t.fail('a');
select is(t.ended('b') || ', ' || t.ended('c'), 'status 2, status 2', 'two builds fail because of one derivation');
select t.pass('1 hour');
select lives_ok($$select resolver.restart_build(t.id('c'))$$, 'one build is restarted');
select results_eq($$select job, finished, isCachedBuild, buildStatus from Builds order by id$$, $$values ('c', 0, 0, 2), ('b', 0, 0, 2)$$,
                  'both builds are unfinished');
select is((select count from NrBuilds where what = 'finished'), 0, 'the counter has no finished build');
select is(t.stage('a') || ' ' || t.stage('b') || ' ' || t.stage('c'), 'unloaded waiting waiting',
          'failed -> unloaded: the failed derivation is tried again');
select is_empty('select from resolver.derivation_state where failed_dependency is not null', 'no derivation has a failed dependency');
select isnt((select cleared_at from resolver.failure), null, 'the failure is cleared');
select t.work();
select is(t.ended('c'), 'status 0', 'the build succeeds this time');
select is(t.ended('b'), 'status 0', 'the other build succeeds, too');
select is((select stopTime - startTime from Builds where id = t.id('c')), 0, 'the build has new times');
select is((select startTime from Builds where id = t.id('c')), resolver.hydra_time(resolver.clock()),
          'the times belong to this attempt');

-- A failed resolved derivation.
select t.derivation('d', '{a}');
select t.derivation('e', '{d}');
select t.want('d', 'd');
select t.want('e', 'e');
select t.load();
select t.resolve('d', 'r-d');
select t.fail('r-d');
select is(t.ended('d') || ', ' || t.ended('e'), 'status 1, status 2', 'a resolved derivation fails');
select t.pass('1 hour');
select resolver.restart_build(t.id('e'));
select is(t.stage('r-d') || ' ' || t.stage('d') || ' ' || t.stage('e'), 'unloaded unloaded waiting',
          'the resolved derivation and its follower are tried again');
select t.load();
select is(t.resolve('d', 'r-d'), 'done', 'the derivation is resolved again');
select t.finish('r-d');
select t.work();
select is(t.ended('e'), 'status 0', 'the restarted build succeeds');
select is(t.ended('d'), 'status 0', 'the other build succeeds');

-- Two failures under one root.
select t.derivation('f1');
select t.derivation('f2');
select t.derivation('f', '{f1,f2}');
select t.want('f', 'f');
select t.load();
select t.claim('build');
select t.fail('f1');
select t.fail('f2');
select t.pass('1 hour');
select resolver.restart_build(t.id('f'));
select is(t.stage('f1') || ' ' || t.stage('f2'), 'unloaded unloaded', 'a restart tries all failed derivations again');
select t.work();
select is(t.ended('f'), 'status 0', 'the build succeeds');

-- An ended build stays as it ended, whatever happens to its root later.
create function pg_temp.goal(p_job text) returns text language sql as $$
    select concat_ws(' ', g.status, g.is_cached, (g.info is not null)::text, g.ended_at::time) from resolver.goal g where g.build = t.id(p_job)
$$;
select t.derivation('m');
select t.want('failed', 'm');
select t.load();
select t.fail('m');
select t.pass('1 minute');
select t.build('succeeded', 'm');
select resolver.sync_builds(array[t.id('succeeded')]);
select t.load();
select t.finish('m');
select t.pass('1 minute');
select resolver.invalidate_paths(array[t.path('m')]);
select t.store_loses(t.path('m'));
select t.want('failed-too', 'm');
select t.load();
select t.fail('m');
select is(t.ended('failed') || ', ' || t.ended('succeeded') || ', ' || t.ended('failed-too'), 'status 1, status 0, status 1',
          'three builds of one derivation end differently');
select is((select array_agg(pg_temp.goal(j)) from unnest('{failed,succeeded,failed-too}'::text[]) j),
          '{1 f false 15:00:00,0 f true 15:01:00,1 f false 15:02:00}', 'each goal has its own end and time');

-- Two failures further down.
select t.derivation('k1');
select t.derivation('k2');
select t.derivation('k', '{k1,k2}');
select t.derivation('l', '{k}');
select t.want('l', 'l');
select t.load();
select t.claim('build');
select t.fail('k1');
select t.fail('k2');
select t.pass('1 hour');
select resolver.restart_build(t.id('l'));
select is(t.stage('k1') || ' ' || t.stage('k2'), 'unloaded unloaded', 'a restart reaches failures at any depth');
select t.work();
select is(t.ended('l'), 'status 0', 'this build succeeds as well');

-- A second failure.
select t.derivation('g');
select t.want('g', 'g');
select t.load();
select t.fail('g');
select t.pass('1 hour');
select resolver.restart_build(t.id('g'));
select t.load();
select t.fail('g');
select is(t.ended('g'), 'status 1', 'a restarted build that fails again is not cached');
select is(t.steps('g'), array['1: g status 1', '2: g status 1'], 'the build has a row for each attempt');

-- A build that succeeded.
select t.pass('1 hour');
select resolver.restart_build(t.id('f'));
select t.load();
select is(t.ended('f'), 'status 0 cached', 'if no output was lost, the build ends as cached');
select t.store_loses(t.path('r-f'));
select resolver.restart_build(t.id('f'));
select t.load();
select is(t.ended('f'), 'unfinished', 'if an output was lost, the build is unfinished');
select is(t.stage('f'), 'resolvable', 'the derivation is resolved and built again');
select t.work();
select is(t.ended('f'), 'status 0', 'the build succeeds');
select is((select count(*) from resolver.realisation where derivation = t.number('r-f') and ceased_at is null), 1::bigint,
          'the resolved derivation has one valid realisation');

-- The times of a build are the times of the attempt that ended it.
create function pg_temp.times(p_job text) returns text language sql as $$
    select to_timestamp(b.startTime)::time || '-' || to_timestamp(b.stopTime)::time from Builds b where b.id = t.id(p_job)
$$;
select t.at('2026-02-01 12:00:00+00');
select t.derivation('h');
select t.derivation('on-h', '{h}');
select t.derivation('far-h', '{on-h}');
select t.want('h', 'h');
select t.want('on-h', 'on-h');
select t.want('far-h', 'far-h');
select t.load();
select t.claim('build');
select t.pass('10 seconds');
select t.fail('h');
select is(array[pg_temp.times('h'), pg_temp.times('on-h'), pg_temp.times('far-h')],
          '{12:00:00-12:00:10,12:00:00-12:00:10,12:00:00-12:00:10}', 'builds that end by a failure have the times of the failed attempt');
select t.pass('50 seconds');
select t.want('h-later', 'h');
select t.load();
select is(pg_temp.times('h-later'), '12:01:00-12:01:00', 'a cached failure takes no time');
select t.at('2026-02-01 13:00:00+00');
select resolver.restart_build(t.id('h'));
select t.load();
select t.claim('build');
select t.pass('10 seconds');
select t.finish('h');
select is(pg_temp.times('h'), '13:00:00-13:00:10', 'a restarted build has the times of the new attempt');

-- It fails differently the second time, in another build: a build that timed out is not restarted with its dependents.
select t.derivation('i');
select t.derivation('on-i', '{i}');
select t.want('i', 'i');
select t.want('on-i', 'on-i');
select t.load();
select t.fail('i', 'timeout', 7);
select is(t.steps('on-i'), '{1: i status 7 from i}', 'the build has the row of another build''s failure');
select t.pass('1 hour');
select resolver.restart_build(t.id('on-i'));
select t.want('i-again', 'i');
select t.load();
select t.claim('build');
select is(t.steps('i-again'), '{1: i building}', 'the derivation is tried again on the account of a third build');
select resolver.fail_steps(jsonb_build_array(t.failure('i', 'timeout', 7) || '{"message": "broken in another way"}'));
select is(t.steps('on-i'), array['1: i status 7 from i', '2: i status 7 from i-again'], 'the build has a row for each failure');
select results_eq($$select errorMsg, startTime, stopTime from BuildSteps where build = t.id('on-i') order by stepnr$$,
                  $$values ('i is broken', null::integer, null::integer), ('broken in another way', null, null)$$,
                  'the rows have messages, and no times, since nothing ran in this build');

-- A build was cancelled, and its derivations left the queue: after a restart, derivations at any depth are wanted again.
select t.derivation('low');
select t.derivation('mid', '{low}');
select t.derivation('high', '{mid}');
select t.want('high', 'high');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('high')));
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('mid')));
select resolver.cancel_build(t.id('high'));
select is(t.claim('load'), '{}', 'derivations of a cancelled build are not loaded');
select resolver.restart_build(t.id('high'));
select t.load();
select is(t.stage('low'), 'buildable', 'after the restart they are loaded');
select t.fail('low');
select is(t.ended('high'), 'status 2', 'the build fails');
select resolver.clear_failures();
select is(t.claim('load'), '{}', 'a cleared derivation that no build needs is not tried');
select resolver.restart_build(t.id('high'));
select t.work();
select is(t.ended('high'), 'status 0', 'after the restart the build succeeds');
select t.derivation('made');
select t.derivation('user', '{made}');
select t.derivation('over', '{user}');
select t.want('over', 'over');
select t.load();
select t.finish('made');
select t.claim('resolve');
select t.resolve('user', 'r-user');
select resolver.cancel_build(t.id('over'));
select is(t.claim('build'), '{}', 'a resolved derivation of a cancelled build is not built');
select resolver.restart_build(t.id('over'));
select t.work();
select is(t.ended('over'), 'status 0', 'after the restart it is built');

select * from t.done();
rollback;
