-- restart_build(build): a finished build is to be built again.
\ir include/farm.sql

select throws_ok('select resolver.restart_build(0)', 'NX018', 'there is no such finished build', 'no such build');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select t.want('b', 'b');
select t.load();
select t.keep();
select throws_ok($$select resolver.restart_build(t.id('c'))$$, 'NX018', 'there is no such finished build', 'an unfinished build');
select is(t.changed(), '{}', 'nothing changes');
select t.fail('a');
select is(t.ended('b') || ', ' || t.ended('c'), 'status 2, status 2', 'two builds fail for the sake of one derivation');
select t.pass('1 hour');
select lives_ok($$select resolver.restart_build(t.id('c'))$$, 'one is restarted');
select results_eq($$select job, finished, isCachedBuild, buildStatus from Builds order by id$$, $$values ('c', 0, 0, 2), ('b', 0, 0, 2)$$,
                  'it is unfinished, and so is the other');
select is((select count from NrBuilds where what = 'finished'), 0, 'the counter knows');
select is(t.stage('a') || ' ' || t.stage('b') || ' ' || t.stage('c'), 'unloaded waiting waiting', 'failed -> unloaded: what failed is tried again');
select is_empty('select from resolver.derivation_state where failed_dependency is not null', 'nobody remembers it as failed');
select isnt((select cleared_at from resolver.failure), null, 'the failure is history');
select t.work();
select is(t.ended('c'), 'status 0', 'it succeeds this time');
select is(t.ended('b'), 'status 0', 'and so does the other');
select is((select stopTime - startTime from Builds where id = t.id('c')), 0, 'with new times');
select is((select startTime from Builds where id = t.id('c')), resolver.hydra_time(resolver.clock()), 'of this attempt');

-- A failed resolution.
select t.derivation('d', '{a}');
select t.derivation('e', '{d}');
select t.want('d', 'd');
select t.want('e', 'e');
select t.load();
select t.resolve('d', 'r-d');
select t.fail('r-d');
select is(t.ended('d') || ', ' || t.ended('e'), 'status 1, status 2', 'a resolution failed');
select t.pass('1 hour');
select resolver.restart_build(t.id('e'));
select is(t.stage('r-d') || ' ' || t.stage('d') || ' ' || t.stage('e'), 'unloaded unloaded waiting', 'it and what followed it are tried again');
select t.load();
select is(t.resolve('d', 'r-d'), 'done', 'the derivation is resolved again');
select t.finish('r-d');
select t.work();
select is(t.ended('e'), 'status 0', 'and built');
select is(t.ended('d'), 'status 0', 'for the other build, too');

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
select is(t.stage('f1') || ' ' || t.stage('f2'), 'unloaded unloaded', 'a restart tries all that failed again');
select t.work();
select is(t.ended('f'), 'status 0', 'and it succeeds');

-- What ended once stays as it ended, whatever becomes of its root.
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
select is(t.ended('failed') || ', ' || t.ended('succeeded') || ', ' || t.ended('failed-too'), 'status 1, status 0, status 1', 'three builds of one derivation');
select is((select array_agg(pg_temp.goal(j)) from unnest('{failed,succeeded,failed-too}'::text[]) j),
          '{1 f false 15:00:00,0 f true 15:01:00,1 f false 15:02:00}', 'ended each at its time');

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
select is(t.stage('k1') || ' ' || t.stage('k2'), 'unloaded unloaded', 'however far from the root');
select t.work();
select is(t.ended('l'), 'status 0', 'and this one succeeds as well');

-- Fails again.
select t.derivation('g');
select t.want('g', 'g');
select t.load();
select t.fail('g');
select t.pass('1 hour');
select resolver.restart_build(t.id('g'));
select t.load();
select t.fail('g');
select is(t.ended('g'), 'status 1', 'a restarted build that fails again has failed, not from memory');
select is(t.steps('g'), array['1: g status 1', '2: g status 1'], 'with a row for each attempt');

-- A build that succeeded.
select t.pass('1 hour');
select resolver.restart_build(t.id('f'));
select t.load();
select is(t.ended('f'), 'status 0 cached', 'nothing was lost: it ends as cached');
select t.store_loses(t.path('r-f'));
select resolver.restart_build(t.id('f'));
select t.load();
select is(t.ended('f'), 'unfinished', 'an output was lost');
select is(t.stage('f'), 'resolvable', 'it is built anew');
select t.work();
select is(t.ended('f'), 'status 0', 'and there again');
select is((select count(*) from resolver.realisation where derivation = t.number('r-f') and ceased_at is null), 1::bigint,
          'the resolution has one valid realisation');

-- The times of a build are those of the attempt that ended it.
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
          '{12:00:00-12:00:10,12:00:00-12:00:10,12:00:00-12:00:10}', 'builds that end by a failure began when what failed did');
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
select is(pg_temp.times('h'), '13:00:00-13:00:10', 'a build that was restarted began then');

-- It fails differently the second time, in another build: who timed out is not restarted together with who needs it.
select t.derivation('i');
select t.derivation('on-i', '{i}');
select t.want('i', 'i');
select t.want('on-i', 'on-i');
select t.load();
select t.fail('i', 'timeout', 7);
select is(t.steps('on-i'), '{1: i status 7 from i}', 'a failure of another build');
select t.pass('1 hour');
select resolver.restart_build(t.id('on-i'));
select t.want('i-again', 'i');
select t.load();
select t.claim('build');
select is(t.steps('i-again'), '{1: i building}', 'is tried again on the account of a third one');
select resolver.fail_steps(jsonb_build_array(t.failure('i', 'timeout', 7) || '{"message": "broken in another way"}'));
select is(t.steps('on-i'), array['1: i status 7 from i', '2: i status 7 from i-again'], 'there is a row for each failure');
select results_eq($$select errorMsg, startTime, stopTime from BuildSteps where build = t.id('on-i') order by stepnr$$,
                  $$values ('i is broken', null::integer, null::integer), ('broken in another way', null, null)$$,
                  'with its message, and without times: nothing ran in this build');

-- Nobody needed it for a while, and workers have seen that: what lies deep below is wanted again all the same.
select t.derivation('low');
select t.derivation('mid', '{low}');
select t.derivation('high', '{mid}');
select t.want('high', 'high');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('high')));
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('mid')));
select resolver.cancel_build(t.id('high'));
select is(t.claim('load'), '{}', 'nobody needs what a cancelled build needed');
select resolver.restart_build(t.id('high'));
select t.load();
select is(t.stage('low'), 'buildable', 'until it is restarted');
select t.fail('low');
select is(t.ended('high'), 'status 2', 'it fails');
select resolver.clear_failures();
select is(t.claim('load'), '{}', 'what is cleared for nobody is not tried');
select resolver.restart_build(t.id('high'));
select t.work();
select is(t.ended('high'), 'status 0', 'until the build is restarted');
select t.derivation('made');
select t.derivation('user', '{made}');
select t.derivation('over', '{user}');
select t.want('over', 'over');
select t.load();
select t.finish('made');
select t.claim('resolve');
select t.resolve('user', 'r-user');
select resolver.cancel_build(t.id('over'));
select is(t.claim('build'), '{}', 'nor is what it was resolved to built');
select resolver.restart_build(t.id('over'));
select t.work();
select is(t.ended('over'), 'status 0', 'until it is restarted');

select * from t.done();
rollback;
