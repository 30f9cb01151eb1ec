-- cancel_build(build): a build ends as cancelled.
\ir include/farm.sql

select throws_ok('select resolver.cancel_build(0)', 'NX017', 'there is no such unfinished build', 'no such build');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.want('a', 'a');
select t.want('b', 'b');
select t.load();
select t.claim('build');
select t.pass('5 seconds');
select lives_ok($$select resolver.cancel_build(t.id('a'))$$, 'an unfinished build');
select results_eq(
    $$select finished, buildStatus, startTime, stopTime, notificationPendingSince from Builds where id = t.id('a')$$,
    $$select 1, 4, n, n, n from resolver.hydra_time(resolver.clock()) n$$, 'is finished as cancelled, now');
select is((select status from resolver.goal where build = t.id('a')), 4, 'and is no goal any more');
select is(t.stage('a'), 'building', 'its derivations are not touched');
select is(t.ended('b'), 'unfinished', 'other builds go on');
select t.keep();
select throws_ok($$select resolver.cancel_build(t.id('a'))$$, 'NX017', 'there is no such unfinished build', 'once');
select is(t.changed(), '{}', 'and no more');
select t.finish('a');
select is(t.steps('a'), '{1: a built}', 'the step that ran ends in the cancelled build');
select is(t.ended('a'), 'status 4', 'which stays cancelled');
select is(t.outputs('a'), '{"out": null}', 'without outputs');
select t.work();
select is(t.ended('b'), 'status 0', 'and the other succeeds');
select throws_ok($$select resolver.cancel_build(t.id('b'))$$, 'NX017', 'there is no such unfinished build', 'a finished build can''t be cancelled');
select is((select count from NrBuilds where what = 'finished'), 2, 'each is counted once');

-- A step that runs for nobody else is ended by its worker.
select t.derivation('e');
select t.want('e', 'e');
select t.load();
select t.claim('build');
select t.pass('5 seconds');
select resolver.cancel_build(t.id('e'));
select results_eq('select * from resolver.heartbeat(t.worker_id())', $$select t.lease('e', 'build')$$, 'the worker is told that nobody needs it');
select is(t.fail('e', 'cancelled', 4), 'retried', 'it ends it');
select results_eq($$select busy, status, machine, stopTime from BuildSteps where build = t.id('e')$$,
                  $$select 0, 4, 'here', resolver.hydra_time(resolver.clock())$$, 'the step is cancelled');
select is_empty($$select from resolver.failure where derivation = t.number('e')$$, 'that is no failure');
select is(t.claim('build'), '{}', 'nor is it tried again');
select resolver.restart_build(t.id('e'));
select t.load();
select is(t.claim('build'), '{e}', 'before somebody needs it, then at once');
select t.finish('e');
select is(t.steps('e'), array['1: e status 4', '2: e built'], 'as another step');

-- All that wanted a step.
select t.derivation('c');
select t.derivation('d', '{c}');
select t.want('d', 'd');
select t.load();
select resolver.cancel_build(t.id('d'));
select is(t.claim('build'), '{}', 'what only a cancelled build needed is not built');

-- Cancelled, then restarted.
select lives_ok($$select resolver.restart_build(t.id('d'))$$, 'a cancelled build can be restarted');
select t.work();
select is(t.ended('d'), 'status 0', 'and is built');

select * from t.done();
rollback;
