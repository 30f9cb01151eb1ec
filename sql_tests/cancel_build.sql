-- cancel_build(build): a build ends as cancelled.
\ir include/farm.sql

select throws_ok('select resolver.cancel_build(0)', 'NX017', 'there is no such unfinished build',
                 'a build that does not exist cannot be cancelled');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.want('a', 'a');
select t.want('b', 'b');
select t.load();
select t.claim('build');
select t.pass('5 seconds');
select lives_ok($$select resolver.cancel_build(t.id('a'))$$, 'an unfinished build is cancelled');
select results_eq(
    $$select finished, buildStatus, startTime, stopTime, notificationPendingSince from Builds where id = t.id('a')$$,
    $$select 1, 4, n, n, n from resolver.hydra_time(resolver.clock()) n$$, 'the build is finished as cancelled, now');
select is((select status from resolver.goal where build = t.id('a')), 4, 'the goal has ended');
select is(t.stage('a'), 'building', 'the derivation of the build is not touched');
select is(t.ended('b'), 'unfinished', 'other builds go on');
select t.keep();
select throws_ok($$select resolver.cancel_build(t.id('a'))$$, 'NX017', 'there is no such unfinished build',
                 'a build cannot be cancelled twice');
select is(t.changed(), '{}', 'the second call changes nothing');
select t.finish('a');
select is(t.steps('a'), '{1: a built}', 'the step that ran ends in the cancelled build');
select is(t.ended('a'), 'status 4', 'the build stays cancelled');
select is(t.outputs('a'), '{"out": null}', 'the build has no outputs');
select t.work();
select is(t.ended('b'), 'status 0', 'the other build succeeds');
select throws_ok($$select resolver.cancel_build(t.id('b'))$$, 'NX017', 'there is no such unfinished build',
                 'a finished build cannot be cancelled');
select is((select count from NrBuilds where what = 'finished'), 2, 'each build is counted once');

-- If no other build needs a step, its worker ends it.
select t.derivation('e');
select t.want('e', 'e');
select t.load();
select t.claim('build');
select t.pass('5 seconds');
select resolver.cancel_build(t.id('e'));
select results_eq('select * from resolver.heartbeat(t.worker_id())', $$select t.lease('e', 'build')$$,
                  'the heartbeat names a lease that no build needs');
select is(t.fail('e', 'cancelled', 4), 'retried', 'the worker reports the step as cancelled');
select results_eq($$select busy, status, machine, stopTime from BuildSteps where build = t.id('e')$$,
                  $$select 0, 4, 'here', resolver.hydra_time(resolver.clock())$$, 'the step is cancelled');
select is_empty($$select from resolver.failure where derivation = t.number('e')$$, 'a cancelled step is no failure');
select is(t.claim('build'), '{}', 'a cancelled step is not tried again while no build needs it');
select resolver.restart_build(t.id('e'));
select t.load();
select is(t.claim('build'), '{e}', 'if a build needs the derivation again, it is built at once');
select t.finish('e');
select is(t.steps('e'), array['1: e status 4', '2: e built'], 'the new attempt is another step');

-- All builds that wanted a step are cancelled.
select t.derivation('c');
select t.derivation('d', '{c}');
select t.want('d', 'd');
select t.load();
select resolver.cancel_build(t.id('d'));
select is(t.claim('build'), '{}', 'a derivation that only a cancelled build needed is not built');

-- Cancelled, then restarted.
select lives_ok($$select resolver.restart_build(t.id('d'))$$, 'a cancelled build can be restarted');
select t.work();
select is(t.ended('d'), 'status 0', 'the restarted build succeeds');

select * from t.done();
rollback;
