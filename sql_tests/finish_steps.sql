-- finish_steps(reports), finish_step(lease, report): reports of builds that succeeded.
\ir include/farm.sql

select has_function('resolver', 'finish_steps', array['jsonb'], 'the plural form exists');
select function_returns('resolver', 'finish_step', array['bigint', 'jsonb'], 'void', 'the singular form, for people, exists');

-- A floating derivation without inputs.
select t.derivation('leaf');
select t.want('leaf', 'leaf');
select t.load();
select is(t.claim('build'), '{leaf}', 'a floating derivation without inputs is built as it is');
select t.pass('30 seconds');
select is(t.finish('leaf'), 'done', 'the build is reported');
select is(t.stage('leaf'), 'realised', 'building -> realised');
select is(t.steps('leaf'), '{1: leaf built}', 'the build has one step row');
select results_eq(
    $$select type, busy, status, errorMsg, startTime, stopTime, machine, system, propagatedFrom, overhead, timesBuilt, resolvedDrvPath
        from BuildSteps where build = t.id('leaf')$$,
    $$select 0, 0, 0, null::text, resolver.hydra_time('2026-01-01 12:00:00+00'), resolver.hydra_time('2026-01-01 12:00:30+00'),
             'here', 'x86_64-linux', null::integer, 5, 1, null::text$$,
    'the row has everything that Hydra''s pages show');
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
select is((select count from NrBuilds where what = 'finished'), 1, 'the build is counted once');

-- The same report again, another report, and none.
select t.keep();
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('leaf')))), 'already',
          'a step that was finished twice is finished once');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('leaf') || '{"machine": "there"}'))), 'refused',
          'another report under the same lease is refused');
select is((select outcome from resolver.fail_steps(jsonb_build_array(t.failure('leaf')))), 'refused',
          'a failure after the success is refused');
select results_eq($$select outcome from resolver.finish_steps('[{"lease": 123456, "outputs": {}}, {"outputs": {}}]')$$,
                  $$values ('refused'), ('refused')$$, 'an unknown lease, and a missing one, are refused');
select is(t.changed(), '{}', 'the refused reports changed nothing');
select lives_ok($$select resolver.finish_step(t.lease('leaf', 'build'), t.success('leaf') - 'lease')$$,
                'the singular form accepts the same report again');
select throws_ok($$select resolver.finish_step(t.lease('leaf', 'build'), t.success('leaf') || '{"machine": "there"}')$$,
                 'NX012', 'the report was refused', 'the singular form raises an error');
select throws_ok($$select resolver.finish_step(987654, '{}')$$, 'NX012', 'the report was refused', 'an unknown lease is refused');

-- Not all outputs.
select t.derivation('two', p_outputs => '{out,dev}');
select t.want('two', 'two');
select t.load();
select t.claim('build');
select t.keep();
select results_eq(
    $$select outcome, detail from resolver.finish_steps(jsonb_build_array(
          t.success('two', jsonb_build_object('out', t.path('two')))))$$,
    $$values ('refused', 'the report has no path for dev')$$,
    'a report without one of the outputs is refused, and the detail names the output');
select throws_ok($$select resolver.finish_step(t.lease('two', 'build'), '{"outputs": {}}')$$, 'NX012', 'the report was refused',
                 'the singular form raises an error for it');
select is(t.changed(), '{}', 'the claim stays as it was');
select is(t.finish('two'), 'done', 'the complete report is applied');
select is(t.outputs('two'), jsonb_build_object('out', t.full(t.path('two')), 'dev', t.full(t.path('two-dev'))),
          'the build has all outputs');
select is(t.ended('two'), 'status 0', 'the build succeeded');

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
    $$values ('done'), ('refused'), ('refused'), ('done'), ('already')$$,
    'of five reports in one call two are good, and one is a repetition');
select is(t.ended('b1') || ', ' || t.ended('b2') || ', ' || t.ended('b3'), 'status 0, unfinished, status 0', 'the good reports count');
select is(t.finish('b2'), 'done', 'the claim of the bad report goes on');

-- nix-support/failed.
select t.derivation('shaky');
select t.want('shaky', 'shaky');
select t.load();
select is(t.finish('shaky', null, t.info() || '{"failed": true}'), 'done', 'a build leaves nix-support/failed');
select is(t.ended('shaky'), 'status 6', 'the build succeeded with failure');
select is(t.steps('shaky'), '{1: shaky built}', 'its step succeeded');
select is(t.outputs('shaky'), jsonb_build_object('out', t.full(t.path('shaky'))), 'its outputs are recorded');

-- Watchers.
select t.derivation('low');
select t.derivation('high');
select t.derivation('mid', '{low,high}');
select t.derivation('top', '{mid,low}', 'deferred');
select t.want('top', 'top');
select t.load();
select is(t.stage('mid') || ', ' || t.stage('top'), 'waiting, waiting', 'derivations with inputs wait');
select ok(t.watches('top') in ('low', 'mid') and t.watches('mid') in ('low', 'high'), 'each of them watches one of its inputs');
select t.claim('build');
select t.finish('low');
select is(t.stage('mid'), 'waiting', 'if another input is missing, the derivation waits on');
select is(t.watches('mid'), 'high', 'the derivation watches the missing input');
select t.finish('high');
select is(t.stage('mid'), 'resolvable', 'when all inputs are valid, the derivation can be resolved');
select is(t.watches('mid'), null, 'the derivation watches nothing');
select is(t.stage('top'), 'waiting', 'its dependent does not move yet');
select t.work();
select is(t.steps('top'), array['1: high built', '2: low built', '3: mid resolved to r-mid', '4: r-mid built',
                                '5: top resolved to r-top', '6: r-top built'],
          'every derivation with inputs has two rows: the resolution, and the step of the resolved derivation');
select is(t.outputs('top'), jsonb_build_object('out', t.full(t.path('r-top'))), 'the root has the outputs of its resolution');
select is(t.ended('top'), 'status 0', 'the build ends with its root');
select is((select isCachedBuild from Builds where id = t.id('top')), 0,
          'the build is not cached: the resolved derivation was built on its account');
select is((select b.startTime = s.startTime and s.stepnr = 6 from Builds b join BuildSteps s on s.build = b.id and s.status = 0
            where b.id = t.id('top') order by stepnr desc limit 1), true, 'the build began when the attempt at its root began');

-- Two builds with one root, and a build that depends on it.
select t.derivation('shared');
select t.derivation('user', '{shared}');
select t.want('needs', 'user');
select t.load();
select t.want('first', 'shared');
select t.want('second', 'shared');
select t.load();
select t.claim('build');
select is(t.steps('first'), '{1: shared building}', 'an attempt is on the account of the first build whose root it is');
select is(t.steps('needs') || t.steps('second'), '{}', 'the other builds have no row');
select t.finish('shared');
select is(t.ended('first') || ', ' || t.ended('second'), 'status 0, status 0 cached',
          'the second build is cached, since its root was not built for it');
select is(t.steps('second'), '{}', 'a second build with the same root gets no step rows');
select is((select size from Builds where id = t.id('second')), 100::bigint, 'the second build has sizes');
select is(t.outputs('second'), t.outputs('first'), 'the second build has outputs');
select is((select count(*) from BuildProducts where build = t.id('second')), 2::bigint, 'the second build has products');
select isnt((select notificationPendingSince from Builds where id = t.id('second')), null, 'the second build is to be notified');
select t.work();
select is(t.steps('needs'), array['1: user resolved to r-user', '2: r-user built'], 'the dependent build has no second row for the step');

-- A build that began to want the derivation while it was built as no root, without a look at its products.
select t.derivation('late');
select t.derivation('late-user', '{late}');
select t.want('early', 'late-user');
select t.load();
select t.claim('build');
select is(t.claimed('late', 'build') ->> 'root', 'false', 'the derivation is no root when it is claimed');
select t.want('came-later', 'late');
select is(t.finish('late', null, null), 'done', 'the derivation is built, without a look at its products');
select is(t.ended('came-later'), 'unfinished', 'the later build cannot end without the products');
select is(t.stage('late'), 'unloaded', 'the root is loaded again');
select t.load();
select is(t.ended('came-later'), 'status 0 cached', 'the report of load ends the build');
select t.work();

-- The build was deleted, or cancelled, while the step ran.
select t.derivation('orphan');
select t.derivation('cancelled');
select t.want('orphan', 'orphan');
select t.want('cancelled', 'cancelled');
select t.load();
select t.claim('build');
delete from Builds where id = t.id('orphan');
select is_empty('select * from resolver.invariant_violations()', 'if its build is deleted, a step goes on');
select resolver.sync_builds();
select resolver.cancel_build(t.id('cancelled'));
select is(t.finish('orphan'), 'done', 'the result for a deleted build is recorded all the same');
select is(t.stage('orphan'), 'realised', 'the derivation is realised');
select is((select build from resolver.realisation where derivation = t.number('orphan')), t.id('orphan'),
          'the trace has the number of the build');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('orphan')))), 'already',
          'the same report again is recognised');
select is(t.finish('cancelled'), 'done', 'the step of a cancelled build ends');
select is(t.steps('cancelled'), '{1: cancelled built}', 'the row shows the success');
select is(t.ended('cancelled'), 'status 4', 'the build stays cancelled');

-- The first valid realisation is served.
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
select is(t.ended('moody-2') || ', ' || t.stage('moody'), 'unfinished, unloaded',
          'the info of a path that is not served does not end the build');
select t.load();
select is(t.ended('moody-2'), 'status 0', 'load looks at the served outputs and ends the build, which is not cached');
select is((select size from Builds where id = t.id('moody-2')), 100::bigint, 'the build has the size of the served outputs');
select is((select count(*) from BuildProducts where build = t.id('moody-2')), 2::bigint,
          'the build has the products of the served outputs');
select is(t.outputs('moody-2'), jsonb_build_object('out', t.full(t.path('moody')), 'dev', t.full(t.path('moody-dev-other'))),
          'the output that was valid keeps its path; only the lost one gets the new path');
select bag_eq(
    $$select output, path, ceased_at is null from resolver.realisation where derivation = t.number('moody')$$,
    $$values ('out', t.path('moody'), true), ('dev', t.path('moody-dev'), false),
             ('out', t.path('moody-other'), true), ('dev', t.path('moody-dev-other'), true)$$,
    'the trace has all paths');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('moody-2') order by 1$$,
                  $$values ('dev', t.full(t.path('moody-dev-other'))), ('out', t.full(t.path('moody-other')))$$,
                  'the step row has the paths of its attempt');

-- The same holds for followers.
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
select is(t.ended('r-follower'), 'status 0 cached', 'the info of the resolved derivation ends a build whose root it is');
select is(t.ended('follower') || ', ' || t.stage('follower'), 'unfinished, unloaded', 'a build whose root has another path does not end');
select t.load();
select is(t.ended('follower'), 'status 0', 'when load has looked at that path, the build ends');
select is(t.outputs('follower'), jsonb_build_object('out', t.full(t.path('r-follower')), 'dev', t.full(t.path('found'))),
          'an output that was found before keeps its path; the other output has the path of the resolved derivation');

-- Outputs that Nix had already.
select t.derivation('had');
select t.want('had', 'had');
select t.load();
select t.claim('build');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('had') || '{"already_valid": true}'))), 'done',
          'Nix had the output already');
select is(t.ended('had'), 'status 0', 'the step succeeds');
select results_eq($$select source, machine, seconds from resolver.realisation where derivation = t.number('had')$$,
                  $$values ('local', null::text, null::real)$$, 'the trace has no machine and no time, since the builder is not known');

select * from t.done();
rollback;
