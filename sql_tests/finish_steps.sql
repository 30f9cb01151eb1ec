-- finish_steps(reports), finish_step(lease, report): builds that succeeded.
\ir include/farm.sql

select has_function('resolver', 'finish_steps', array['jsonb'], 'the plural form');
select function_returns('resolver', 'finish_step', array['bigint', 'jsonb'], 'void', 'the singular form, for people');

-- A floating derivation without inputs.
select t.derivation('leaf');
select t.want('leaf', 'leaf');
select t.load();
select is(t.claim('build'), '{leaf}', 'a floating derivation without inputs is built as it is');
select t.pass('30 seconds');
select is(t.finish('leaf'), 'done', 'its build is reported');
select is(t.stage('leaf'), 'realised', 'building -> realised');
select is(t.steps('leaf'), '{1: leaf built}', 'it has one step row');
select results_eq(
    $$select type, busy, status, errorMsg, startTime, stopTime, machine, system, propagatedFrom, overhead, timesBuilt, resolvedDrvPath
        from BuildSteps where build = t.id('leaf')$$,
    $$select 0, 0, 0, null::text, resolver.hydra_time('2026-01-01 12:00:00+00'), resolver.hydra_time('2026-01-01 12:00:30+00'),
             'here', 'x86_64-linux', null::integer, 5, 1, null::text$$,
    'the row says all that Hydra''s pages show');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('leaf')$$,
                  $$values ('out', t.full(t.path('leaf')))$$, 'the step''s output has its full path');
select results_eq(
    $$select finished, buildStatus, isCachedBuild, startTime, stopTime, size, closureSize, releaseName, notificationPendingSince
        from Builds where id = t.id('leaf')$$,
    $$select 1, 0, 0, resolver.hydra_time('2026-01-01 12:00:00+00'), resolver.hydra_time('2026-01-01 12:00:30+00'),
             100::bigint, 300::bigint, 'tool-1.0', resolver.hydra_time('2026-01-01 12:00:30+00')$$,
    'the build is finished, with times, sizes and release name');
select is(t.outputs('leaf'), jsonb_build_object('out', t.full(t.path('leaf'))), 'BuildOutputs.path is filled');
select results_eq(
    $$select productnr, type, subtype, fileSize, sha256hash, path, name, defaultPath
        from BuildProducts where build = t.id('leaf') order by productnr$$,
    $$values (1, 'nix-build', '', null::bigint, null, '/nix/store/x', 'out', ''),
             (2, 'file', 'tgz', 7, 'ab', '/nix/store/x/x.tgz', 'x.tgz', '')$$, 'products are numbered from 1');
select results_eq($$select name, unit, value, project, jobset, job, timestamp from BuildMetrics where build = t.id('leaf')$$,
                  $$values ('speed', 'm/s', 2.5::double precision, 'project', 'jobset', 'leaf', 1)$$, 'metrics are recorded');
select results_eq(
    $$select output, path, source, build, stepnr, machine, ceased_at from resolver.realisation where derivation = t.number('leaf')$$,
    $$select 'out', t.path('leaf'), 'built', t.id('leaf'), 1, 'here', null::timestamptz$$, 'the build trace has the realisation');
select is((select count from NrBuilds where what = 'finished'), 1, 'it is counted once');

-- The same report again, another one, none.
select t.keep();
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('leaf')))), 'already',
          'a step that was finished twice is finished once');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('leaf') || '{"machine": "there"}'))), 'refused',
          'another report under the same lease is refused');
select is((select outcome from resolver.fail_steps(jsonb_build_array(t.failure('leaf')))), 'refused',
          'so is a failure, after the success');
select results_eq($$select outcome from resolver.finish_steps('[{"lease": 123456, "outputs": {}}, {"outputs": {}}]')$$,
                  $$values ('refused'), ('refused')$$, 'so is a lease that never was, or none');
select is(t.changed(), '{}', 'and nothing changed by all that');
select lives_ok($$select resolver.finish_step(t.lease('leaf', 'build'), t.success('leaf') - 'lease')$$,
                'the singular form takes the same report again, too');
select throws_ok($$select resolver.finish_step(t.lease('leaf', 'build'), t.success('leaf') || '{"machine": "there"}')$$,
                 'NX012', 'the report was refused', 'the singular form raises');
select throws_ok($$select resolver.finish_step(987654, '{}')$$, 'NX012', 'the report was refused', 'no such lease');

-- Not all outputs.
select t.derivation('two', p_outputs => '{out,dev}');
select t.want('two', 'two');
select t.load();
select t.claim('build');
select t.keep();
select results_eq(
    $$select outcome, detail from resolver.finish_steps(jsonb_build_array(
          t.success('two', jsonb_build_object('out', t.path('two')))))$$,
    $$values ('refused', 'the report has no path for dev')$$, 'a report that leaves out an output is refused, and says which');
select throws_ok($$select resolver.finish_step(t.lease('two', 'build'), '{"outputs": {}}')$$, 'NX012', 'the report was refused',
                 'the singular form raises that as well');
select is(t.changed(), '{}', 'and the claim goes on as if nothing had been said');
select is(t.finish('two'), 'done', 'the whole report is taken');
select is(t.outputs('two'), jsonb_build_object('out', t.full(t.path('two')), 'dev', t.full(t.path('two-dev'))),
          'all outputs are the build''s');
select is(t.ended('two'), 'status 0', 'and it succeeded');

-- One bad element does not undo the others.
select t.derivation('b1');
select t.derivation('b2');
select t.derivation('b3');
select t.want('b1', 'b1');
select t.want('b2', 'b2');
select t.want('b3', 'b3');
select t.load();
select t.claim('build');
select results_eq(
    $$select outcome from resolver.finish_steps(jsonb_build_array(
          t.success('b1'), '{"lease": 0}'::jsonb, t.success('b2', '{}'), t.success('b3'), t.success('b1')))$$,
    $$values ('done'), ('refused'), ('refused'), ('done'), ('already')$$, 'of five reports in one call two are good, one is a repetition');
select is(t.ended('b1') || ', ' || t.ended('b2') || ', ' || t.ended('b3'), 'status 0, unfinished, status 0', 'and the good ones count');
select is(t.finish('b2'), 'done', 'the claim of the bad one goes on');

-- nix-support/failed.
select t.derivation('shaky');
select t.want('shaky', 'shaky');
select t.load();
select is(t.finish('shaky', null, t.info() || '{"failed": true}'), 'done', 'a build leaves nix-support/failed');
select is(t.ended('shaky'), 'status 6', 'it succeeded with failure');
select is(t.steps('shaky'), '{1: shaky built}', 'its step succeeded');
select is(t.outputs('shaky'), jsonb_build_object('out', t.full(t.path('shaky'))), 'its outputs are recorded');

-- Watchers.
select t.derivation('low');
select t.derivation('high');
select t.derivation('mid', '{low,high}');
select t.derivation('top', '{mid,low}', 'deferred');
select t.want('top', 'top');
select t.load();
select is(t.stage('mid') || ', ' || t.stage('top'), 'waiting, waiting', 'what has inputs waits');
select ok(t.watches('top') in ('low', 'mid') and t.watches('mid') in ('low', 'high'), 'and watches one of them');
select t.claim('build');
select t.finish('low');
select is(t.stage('mid'), 'waiting', 'one input is there, the other is not: it waits on');
select is(t.watches('mid'), 'high', 'for that other');
select t.finish('high');
select is(t.stage('mid'), 'resolvable', 'all inputs are there: it can be resolved');
select is(t.watches('mid'), null, 'and watches nothing');
select is(t.stage('top'), 'waiting', 'what depends on it does not move yet');
select t.work();
select is(t.steps('top'), array['1: high built', '2: low built', '3: mid resolved to r-mid', '4: r-mid built',
                                '5: top resolved to r-top', '6: r-top built'],
          'every derivation with inputs has two rows: resolved, and built as what it was resolved to');
select is(t.outputs('top'), jsonb_build_object('out', t.full(t.path('r-top'))), 'the root has the outputs of its resolution');
select is(t.ended('top'), 'status 0', 'the build ends with its root');
select is((select isCachedBuild from Builds where id = t.id('top')), 0, 'it is not cached: its resolution was built on its account');
select is((select b.startTime = s.startTime and s.stepnr = 6 from Builds b join BuildSteps s on s.build = b.id and s.status = 0
            where b.id = t.id('top') order by stepnr desc limit 1), true, 'it began when the attempt at its root did');

-- Two builds with one root, and one that was a dependency.
select t.derivation('shared');
select t.derivation('user', '{shared}');
select t.want('needs', 'user');
select t.load();
select t.want('first', 'shared');
select t.want('second', 'shared');
select t.load();
select t.claim('build');
select is(t.steps('first'), '{1: shared building}', 'an attempt is on the account of the first build that has it as root');
select is(t.steps('needs') || t.steps('second'), '{}', 'the others have no row');
select t.finish('shared');
select is(t.ended('first') || ', ' || t.ended('second'), 'status 0, status 0 cached', 'for the second the root was not built: cached');
select is(t.steps('second'), '{}', 'a second build with the same root gets no step rows');
select is((select size from Builds where id = t.id('second')), 100::bigint, 'but sizes');
select is(t.outputs('second'), t.outputs('first'), 'and outputs');
select is((select count(*) from BuildProducts where build = t.id('second')), 2::bigint, 'and products');
select isnt((select notificationPendingSince from Builds where id = t.id('second')), null, 'and is told of');
select t.work();
select is(t.steps('needs'), array['1: user resolved to r-user', '2: r-user built'], 'the step is not repeated in the other build');

-- A build that began to want the derivation while it was built, when nobody looked for its products.
select t.derivation('late');
select t.derivation('late-user', '{late}');
select t.want('early', 'late-user');
select t.load();
select t.claim('build');
select is(t.claimed('late', 'build') ->> 'root', 'false', 'it is nobody''s root when it is claimed');
select t.want('came-later', 'late');
select is(t.finish('late', null, null), 'done', 'it is built, and its products were not read');
select is(t.ended('came-later'), 'unfinished', 'the build that came later can''t end without them');
select is(t.stage('late'), 'unloaded', 'its root is looked at again');
select t.load();
select is(t.ended('came-later'), 'status 0 cached', 'and that ends the build');
select t.work();

-- The build was deleted, or cancelled, while the step ran.
select t.derivation('orphan');
select t.derivation('cancelled');
select t.want('orphan', 'orphan');
select t.want('cancelled', 'cancelled');
select t.load();
select t.claim('build');
delete from Builds where id = t.id('orphan');
select is_empty('select * from resolver.invariant_violations()', 'a step goes on, though its build was deleted');
select resolver.sync_builds();
select resolver.cancel_build(t.id('cancelled'));
select is(t.finish('orphan'), 'done', 'the build was deleted: the result is recorded all the same');
select is(t.stage('orphan'), 'realised', 'it is realised');
select is((select build from resolver.realisation where derivation = t.number('orphan')), t.id('orphan'),
          'and the trace remembers the number of the build');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('orphan')))), 'already', 'and the repetition is known');
select is(t.finish('cancelled'), 'done', 'the build was cancelled: the step ends');
select is(t.steps('cancelled'), '{1: cancelled built}', 'its row says so');
select is(t.ended('cancelled'), 'status 4', 'and the build stays cancelled');

-- First valid realisation wins.
select t.derivation('moody', p_outputs => '{out,dev}');
select t.want('moody', 'moody');
select t.load();
select t.finish('moody');
select resolver.invalidate_paths(array[t.path('moody-dev')]);
select t.store_loses(t.path('moody-dev'));
select t.want('moody-2', 'moody');
select t.load();
select t.finish('moody', jsonb_build_object('out', t.path('moody-other'), 'dev', t.path('moody-dev-other')),
                t.info() || '{"size": 1, "failed": true, "products": []}');
select is(t.ended('moody-2') || ', ' || t.stage('moody'), 'unfinished, unloaded', 'what was read of another path than the served one counts for nothing');
select t.load();
select is(t.ended('moody-2'), 'status 0', 'the outputs that are served are looked at, and end the build, which is not cached');
select is((select size from Builds where id = t.id('moody-2')), 100::bigint, 'with their sizes');
select is((select count(*) from BuildProducts where build = t.id('moody-2')), 2::bigint, 'and products');
select is(t.outputs('moody-2'), jsonb_build_object('out', t.full(t.path('moody')), 'dev', t.full(t.path('moody-dev-other'))),
          'the output that was valid keeps its path; only the lost one gets the new path');
select bag_eq(
    $$select output, path, ceased_at is null from resolver.realisation where derivation = t.number('moody')$$,
    $$values ('out', t.path('moody'), true), ('dev', t.path('moody-dev'), false),
             ('out', t.path('moody-other'), true), ('dev', t.path('moody-dev-other'), true)$$,
    'the trace has all of them');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('moody-2') order by 1$$,
                  $$values ('dev', t.full(t.path('moody-dev-other'))), ('out', t.full(t.path('moody-other')))$$,
                  'and the step row says what this attempt made');

-- So it does for what follows.
select t.derivation('base');
select t.derivation('follower', '{base}', p_outputs => '{out,dev}');
select t.want('follower', 'follower');
select t.load();
select t.finish('base');
select t.resolve('follower', 'r-follower');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object(
    'drv', t.drv('follower'), 'name', 'dev', 'path', t.path('found'))));
select t.store_has(t.path('found'));
select t.want('r-follower', 'follower');
update Builds set drvPath = t.full(t.drv('r-follower')) where id = t.id('r-follower');
select resolver.sync_builds();
select t.finish('r-follower');
select is(t.ended('r-follower'), 'status 0 cached', 'what was read of the resolution ends a build that has it as root');
select is(t.ended('follower') || ', ' || t.stage('follower'), 'unfinished, unloaded', 'but not one whose root has another path than it');
select t.load();
select is(t.ended('follower'), 'status 0', 'which ends when that is looked at');
select is(t.outputs('follower'), jsonb_build_object('out', t.full(t.path('r-follower')), 'dev', t.full(t.path('found'))),
          'an output that was found before keeps its path; the other is that of the resolution');

-- What Nix had already.
select t.derivation('had');
select t.want('had', 'had');
select t.load();
select t.claim('build');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('had') || '{"already_valid": true}'))), 'done', 'Nix had it already');
select is(t.ended('had'), 'status 0', 'the step succeeds');
select results_eq($$select source, machine, seconds from resolver.realisation where derivation = t.number('had')$$,
                  $$values ('local', null::text, null::real)$$, 'but nobody can say that it was built, where, and how long it took');

select * from t.done();
rollback;
