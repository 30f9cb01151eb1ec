-- fail_steps(reports), fail_step(lease, report): reports of failed builds, and how far a failure propagates.
\ir include/farm.sql

select has_function('resolver', 'fail_steps', array['jsonb'], 'the plural form exists');
select function_returns('resolver', 'fail_step', array['bigint', 'jsonb'], 'void', 'the singular form, for people, exists');

-- A root that fails.
select t.derivation('bad');
select t.want('bad', 'bad');
select t.load();
select t.claim('build');
select t.pass('10 seconds');
select is(t.fail('bad'), 'done', 'a failure of the builder is reported');
select is(t.stage('bad'), 'failed', 'building -> failed');
select is(t.steps('bad'), '{1: bad status 1}', 'the step row has the status');
select results_eq(
    $$select busy, status, errorMsg, machine, stopTime - startTime, propagatedFrom from BuildSteps where build = t.id('bad')$$,
    $$values (0, 1, 'bad is broken', 'here', 10, null::integer)$$, 'the step row has the message, the machine and the times');
select is(t.ended('bad'), 'status 1', 'the build gets status 1, since its own derivation failed');
select results_eq(
    $$select startTime, stopTime, notificationPendingSince, size from Builds where id = t.id('bad')$$,
    $$select resolver.hydra_time('2026-01-01 12:00:00+00'), resolver.hydra_time('2026-01-01 12:00:10+00'),
             resolver.hydra_time('2026-01-01 12:00:10+00'), null::bigint$$, 'the build has its times');
select results_eq(
    $$select class, status, message, build, stepnr, cleared_at from resolver.failure where derivation = t.number('bad')$$,
    $$select 'builder', 1, 'bad is broken', t.id('bad'), 1, null::timestamptz$$, 'the failure is recorded');
select t.keep();
select is((select outcome from resolver.fail_steps(jsonb_build_array(t.failure('bad')))), 'already',
          'a failure that is reported twice is recorded once');
select is((select outcome from resolver.fail_steps(jsonb_build_array(t.failure('bad', 'timeout', 7)))), 'refused', 'another report is refused');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('bad')))), 'refused',
          'a success after the failure is refused');
select throws_ok($$select resolver.fail_step(t.lease('bad', 'build'), t.failure('bad', 'timeout', 7))$$,
                 'NX012', 'the report was refused', 'the singular form raises an error');
select lives_ok($$select resolver.fail_step(t.lease('bad', 'build'), t.failure('bad') - 'lease')$$,
                'the singular form accepts the same report again');
select throws_ok($$select resolver.fail_step(31415926, '{}')$$, 'NX012', 'the report was refused', 'an unknown lease is refused');
select is(t.changed(), '{}', 'the refused reports changed nothing');

-- Unusable reports do not undo the others.
select t.derivation('b1');
select t.derivation('b2');
select t.want('b1', 'b1');
select t.want('b2', 'b2');
select t.load();
select t.claim('build');
select results_eq(
    $$select outcome from resolver.fail_steps(jsonb_build_array(
          t.failure('b1', 'no such class'), t.failure('b1') - 'status', t.failure('b1') - 'class', t.failure('b2')))$$,
    $$values ('refused'), ('refused'), ('refused'), ('done')$$, 'a report without a known class and a status is refused');
select is(t.stage('b1') || ' ' || t.stage('b2'), 'building failed', 'the good report counts');
select t.finish('b1');

-- A failure propagates to dependents, and to roots that share the attempt.
select t.derivation('x');
select t.derivation('y', '{x}');
select t.derivation('z', '{y}');
select t.derivation('other');
select t.want('needs-x', 'y');
select t.want('needs-y', 'z');
select t.want('is-x', 'x');
select t.want('is-x-too', 'x');
select t.want('other', 'other');
select t.load();
select t.claim('build');
select is(t.steps('is-x'), '{1: x building}', 'the attempt is on the account of the first build whose root it is');
select t.fail('x');
select is(t.ended('is-x') || ', ' || t.ended('is-x-too'), 'status 1, status 1', 'builds whose root it is fail with status 1');
select is(t.ended('needs-x') || ', ' || t.ended('needs-y'), 'status 2, status 2', 'builds that depend on it fail with status 2');
select is(t.ended('other'), 'unfinished', 'other builds go on');
select is(t.steps('is-x'), '{1: x status 1}', 'the build that ran the attempt has the row');
select is(t.steps('is-x-too'), '{1: x status 1 from is-x}', 'every other build has a row with propagatedFrom');
select is(t.steps('needs-x'), '{1: x status 1 from is-x}', 'a build that depends on it has a row with propagatedFrom');
select is(t.steps('needs-y'), '{1: x status 1 from is-x}', 'a build with an indirect dependency has the row, too');
select is((select errorMsg from BuildSteps where build = t.id('needs-y')), 'x is broken', 'the row has the message');
select is(t.stage('y') || ' ' || t.stage('z'), 'waiting waiting', 'dependents did not fail themselves');
select is((select array_agg(failed_dependency order by derivation) from resolver.derivation_state
            where derivation in (t.number('y'), t.number('z')) and failed_dependency in (t.number('x'), t.number('y'))),
          (select array_agg(x order by d) from (values (t.number('y'), t.number('x')), (t.number('z'), t.number('y'))) v (d, x)),
          'each dependent records the direct input that failed');
select is(resolver.failure_cause(t.number('z')), t.number('x'), 'the chain of failed dependencies leads to the cause');
select is((select array_agg(isCachedBuild) from Builds where id in (t.id('is-x'), t.id('is-x-too'), t.id('needs-x'), t.id('needs-y'))),
          '{0,0,0,0}', 'none of the builds is cached');
select is((select count(*) from Builds where notificationPendingSince is not null
            and id in (t.id('is-x'), t.id('is-x-too'), t.id('needs-x'), t.id('needs-y'))), 4::bigint, 'all builds are to be notified');

-- A cached failure.
select t.pass('1 hour');
select t.derivation('w', '{y}');
select t.want('w', 'w');
select t.want('x-again', 'x');
select t.load();
select is(t.ended('w'), 'status 2 cached', 'a new build that depends on a failed derivation ends at once, as cached');
select is(t.steps('w'), '{1: x status 8 from is-x}', 'the build has a row with status 8');
select is(t.ended('x-again'), 'status 1 cached', 'a new build whose root failed ends at once, as cached');
select is(t.steps('x-again'), '{1: x status 8 from is-x}', 'its row has status 8');
select is((select array_agg(isCachedBuild) from Builds where id in (t.id('w'), t.id('x-again'))), '{1,1}',
          'the builds have isCachedBuild = 1');
select is_empty($$select from BuildSteps where build in (t.id('w'), t.id('needs-x')) and coalesce(startTime, stopTime) is not null$$,
                'rows of steps that ran for another build have no times');

-- Failures that are no fault of the builder are not cached.
select t.derivation('slow');
select t.derivation('slow-user', '{slow}');
select t.want('slow', 'slow');
select t.load();
select is(t.fail('slow', 'timeout', 7), 'done', 'a build times out');
select is(t.ended('slow'), 'status 7', 'the build ends with status 7');
select t.pass('1 hour');
select t.want('slow-user', 'slow-user');
select t.load();
select is(t.stage('slow'), 'buildable', 'the next build tries the derivation again');
select is(t.stage('slow-user'), 'waiting', 'the dependent waits for the derivation');
select t.work();
select is(t.steps('slow-user'), array['1: slow built', '2: slow-user resolved to r-slow-user', '3: r-slow-user built'],
          'the new attempt succeeds');
select t.want('slow-root', 'slow');
select t.load();
select is(t.ended('slow-root'), 'status 0 cached', 'after the success, a new build is cached');
select t.derivation('foreign');
select t.want('foreign', 'foreign');
select t.load();
select t.fail('foreign', 'unsupported', 9);
select is(t.ended('foreign'), 'status 9', 'a build fails with an unsupported system');
select t.pass('1 hour');
select t.want('foreign-again', 'foreign');
select t.load();
select is(t.stage('foreign'), 'buildable', 'an unsupported system is tried again: the farm may have changed');
select t.finish('foreign');

-- With a resolution there are two derivations: D and R.
select t.derivation('in');
select t.derivation('d', '{in}');
select t.derivation('d-too', '{in}');
select t.derivation('e', '{d}');
select t.want('root-d', 'd');
select t.want('root-d-later', 'd');
select t.want('root-d-too', 'd-too');
select t.want('root-e', 'e');
select t.load();
select t.finish('in');
select t.claim('resolve');
select t.resolve('d', 'r');
select t.resolve('d-too', 'r');
select t.claim('build');
select t.fail('r');
select is(t.stage('d') || ' ' || t.stage('d-too') || ' ' || t.stage('r'), 'failed failed failed',
          'followers fail with their resolved derivation');
select is(t.ended('root-d') || ', ' || t.ended('root-d-later') || ', ' || t.ended('root-d-too'), 'status 1, status 1, status 1',
          'every build whose root is D gets status 1');
select is(t.ended('root-e'), 'status 2', 'a build that depends on D gets status 2');
select is(t.steps('root-d'), array['1: in built', '2: d resolved to r', '3: r status 1'],
          'the build that ran the attempt has status 13 for D, and the failure for R');
select is(t.steps('root-d-later'), array['1: d resolved to r', '2: r status 1 from root-d'],
          'a build that shared the attempt has status 13 for D, and R''s status with propagatedFrom');
select is(t.steps('root-d-too'), array['1: d-too resolved to r', '2: r status 1 from root-d'],
          'a build whose root resolved to the same R has the same rows');
select is(t.steps('root-e'), '{1: r status 1 from root-d}', 'a build that only needs D has one row, for R');
select t.pass('1 hour');
select t.want('r-itself', 'r');
select t.want('d-again', 'd');
select t.load();
select is(t.ended('r-itself'), 'status 1 cached', 'a build whose root is R fails with status 1');
select is(t.steps('r-itself'), '{1: r status 8 from root-d}', 'the build has a row for R');
select is(t.ended('d-again'), 'status 1 cached', 'a later build of D is a cached failure');
select is(t.steps('d-again'), array['1: d resolved to r', '2: r status 8 from root-d'], 'the build also has the row of the resolution');

-- Two failures under one root.
select t.derivation('f1');
select t.derivation('f2');
select t.derivation('f', '{f1,f2}');
select t.want('f', 'f');
select t.load();
select t.claim('build');
select t.fail('f1');
select is(t.ended('f'), 'status 2', 'the first failure ends the build');
select t.fail('f2');
select is(t.steps('f'), array['1: f1 status 1', '2: f2 status 1'], 'the second failure still has a row');
select is((select count from NrBuilds where what = 'finished'), (select count(*)::integer from Builds where finished = 1),
          'the build is finished once');

-- Retry, with back-off.
select t.derivation('flaky');
select t.want('flaky', 'flaky');
select t.load();
select is(t.fail('flaky', 'transient', 3), 'retried', 'a transient failure is tried again');
select is(t.stage('flaky'), 'buildable', 'building -> buildable');
select is(t.steps('flaky'), '{1: flaky status 3}', 'the row has the status of an aborted step');
select is(t.ended('flaky'), 'unfinished', 'the build goes on');
select t.keep();
select is((select outcome from resolver.fail_steps(jsonb_build_array(t.failure('flaky', 'transient', 3)))), 'already',
          'a report that is sent twice counts as one try');
select is(t.changed(), '{}', 'the second report changes nothing');
select is(t.claim('build'), '{}', 'the derivation is not claimed at once');
select t.pass('59 seconds');
select is(t.claim('build'), '{}', 'the derivation is not claimed within a minute');
select t.pass('1 second');
select is(t.claim('build'), '{flaky}', 'the derivation is claimed after a minute');
select is(t.steps('flaky'), array['1: flaky status 3', '2: flaky building'], 'each attempt has a row of its own');
select t.fail('flaky', 'transient', 3);
select t.pass('179 seconds');
select is(t.claim('build'), '{}', 'the third attempt is not made within three minutes');
select t.pass('1 second');
select t.fail('flaky', 'transient', 3);
select t.pass('539 seconds');
select is(t.claim('build'), '{}', 'the fourth attempt is not made within nine minutes');
select t.pass('1 second');
select t.fail('flaky', 'transient', 3);
select t.pass('1619 seconds');
select is(t.claim('build'), '{}', 'the fifth attempt is not made within twenty-seven minutes');
select t.pass('1 second');
select is(t.fail('flaky', 'transient', 3), 'done', 'the fifth attempt is the last');
select is(t.stage('flaky'), 'failed', 'the derivation failed');
select is(t.ended('flaky'), 'status 3', 'the build is aborted');
select is(t.steps('flaky'), (select array_agg(n || ': flaky status 3') from generate_series(1, 5) n),
          'the build has a row for each attempt');
select t.derivation('lucky');
select t.want('lucky', 'lucky');
select t.load();
select t.fail('lucky', 'transient', 3);
select t.pass('60 seconds');
select t.finish('lucky');
select is((select (tries, not_before) is not distinct from (0::smallint, null::timestamptz) from resolver.derivation_state
            where derivation = t.number('lucky')), true, 'a success resets the tries');
select is(t.steps('lucky'), array['1: lucky status 3', '2: lucky built'], 'both attempts have a row');
select is((select array_agg(coalesce(errorMsg, '') order by stepnr) from BuildSteps where build = t.id('lucky')), array['lucky is broken', ''],
          'each attempt has its message');

-- A claim is revoked between two tries: only the row of that attempt is used again, and only for the same build.
select t.derivation('first');
select t.derivation('unsteady', '{first}', 'input-addressed');
select t.want('unsteady', 'unsteady');
select t.load();
select t.finish('first');
select t.fail('unsteady', 'transient', 3);
select t.pass('60 seconds');
select t.claim('build');
select resolver.release_claims(t.worker_id(), array[t.lease('unsteady', 'build')], 'tired');
select is(t.steps('unsteady'), array['1: first built', '2: unsteady status 3', '3: unsteady status 3'], 'a second attempt is given back');
select t.claim('build');
select is(t.steps('unsteady'), array['1: first built', '2: unsteady status 3', '3: unsteady building'],
          'the row of that attempt is busy again, and no other row');
select t.fail('unsteady', 'transient', 3);
select t.pass('180 seconds');
select t.claim('build');
select is(t.steps('unsteady'), array['1: first built', '2: unsteady status 3', '3: unsteady status 3', '4: unsteady building'],
          'the row is used again once: the next attempt has a row of its own');
select resolver.release_claims(t.worker_id(), array[t.lease('unsteady', 'build')], 'tired');
select t.derivation('on-unsteady', '{unsteady}');
select t.want('on-unsteady', 'on-unsteady');
select t.load();
select resolver.cancel_build(t.id('unsteady'));
select t.claim('build');
select is(t.steps('on-unsteady'), '{1: unsteady building}', 'another build has its own row');
select t.derivation('own');
select t.derivation('handed-on');
select t.derivation('m1', '{handed-on}');
select t.derivation('m2', '{own,handed-on}');
select t.want('m1', 'm1', 5);
select t.want('m2', 'm2');
select t.load();
select t.claim('build');
select t.finish('own');
select resolver.release_claims(t.worker_id(), array[t.lease('handed-on', 'build')], 'tired');
select resolver.cancel_build(t.id('m1'));
select t.claim('build');
select is(t.steps('m2'), array['1: own built', '2: handed-on building'], 'another build with other rows has its own row');
select t.finish('handed-on');
select t.finish('unsteady');
select t.work();

-- An input was lost during the attempt.
select t.derivation('lost');
select t.derivation('user', '{lost}', 'input-addressed');
select t.want('user', 'user');
select t.load();
select t.finish('lost');
select t.claim('build');
select resolver.invalidate_paths(array[t.path('lost')]);
select t.store_loses(t.path('lost'));
select is(t.stage('user'), 'building', 'an input is lost during the build');
select is(t.fail('user', 'transient', 3), 'retried', 'the attempt is aborted');
select is(t.stage('user'), 'waiting', 'building -> waiting: the derivation waits for the input');
select is(t.watches('user'), 'lost', 'the derivation watches the input');
select t.load();
select is(t.stage('lost'), 'buildable', 'the input is built again');
select t.pass('1 hour');
select t.work();
select is(t.ended('user'), 'status 0', 'the build succeeds in the end');

-- The claim was revoked.
select t.derivation('swept');
select t.want('swept', 'swept');
select t.load();
select t.claim('build');
select resolver.release_claims(t.worker_id(), array[t.lease('swept', 'build')], 'tired');
select t.keep();
select is((select outcome from resolver.fail_steps(jsonb_build_array(t.failure('swept')))), 'lease_lost',
          'a failure under a revoked lease is refused');
select throws_ok($$select resolver.fail_step(t.lease('swept', 'build'), t.failure('swept'))$$, 'NX011', 'the lease was taken back',
                 'the singular form raises an error');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('swept')))), 'lease_lost',
          'a success under a revoked lease is refused');
select throws_ok($$select resolver.finish_step(t.lease('swept', 'build'), t.success('swept'))$$, 'NX011', 'the lease was taken back',
                 'the singular form raises an error for the success');
select is(t.changed(), '{}', 'the refused reports change nothing');

-- Retries as the operator sets them.
update resolver.setting set max_tries = 2, retry_delay = '10 seconds';
select t.derivation('settable');
select t.want('settable', 'settable');
select t.load();
select is(t.fail('settable', 'transient', 3), 'retried', 'the first attempt is retried');
select t.pass('9 seconds');
select is(t.claim('build'), '{}', 'the second attempt waits for the set time');
select t.pass('1 second');
select is(t.claim('build'), '{settable}', 'the second attempt comes after the set time');
select is(t.fail('settable', 'transient', 3), 'done', 'the second attempt is the last');
select is(t.ended('settable'), 'status 3', 'the build is aborted');

select * from t.done();
rollback;
