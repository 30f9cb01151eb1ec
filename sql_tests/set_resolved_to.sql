-- set_resolved_to(reports), set_resolved_to(lease, samples, resolved, info): reports of resolve.
\ir include/farm.sql

select has_function('resolver', 'set_resolved_to', array['jsonb'], 'the plural form exists');
select function_returns('resolver', 'set_resolved_to', array['bigint', 'jsonb', 'jsonb', 'jsonb'], 'void', 'the singular form exists');

-- A derivation resolves to another one.
select t.derivation('leaf', p_outputs => '{out,dev}');
select t.derivation('mid', '{"leaf^out,dev"}');
select t.want('mid', 'mid');
select t.load();
select t.finish('leaf');
select is(t.claim('resolve'), '{mid}', 'a derivation with valid inputs is claimed for resolve');
select is(t.claimed('mid', 'resolve') -> 'inputs',
          jsonb_build_object(t.drv('leaf'), jsonb_build_object('out', t.path('leaf'), 'dev', t.path('leaf-dev'))),
          'the claim has the path of every output that the derivation uses');
select t.keep();
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              t.resolution('mid', 'r-mid') || jsonb_build_object('lease', 999999)))), 'refused', 'an unknown lease is refused');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              t.resolution('mid', 'r-mid') || jsonb_build_object('lease', t.lease('leaf', 'build'))))), 'refused',
          'the lease of another verb is refused');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('mid', 'r-mid') - 'resolved'))), 'refused',
          'a report without a resolved derivation and without a failure is refused');
select is(t.changed(), '{}', 'the refused reports change nothing');
select is(t.resolve('mid', 'r-mid'), 'done', 'the resolution is reported');
select is(t.stage('mid') || ' ' || t.stage('r-mid'), 'resolved buildable', 'resolvable -> resolved; the resolved derivation can be built');
select is((select resolved_to from resolver.derivation_state where derivation = t.number('mid')), t.number('r-mid'),
          'the derivation follows its resolved derivation');
select is(t.steps('mid'), array['1: leaf built', '2: mid resolved to r-mid'], 'the build has a step row with status 13');
select results_eq(
    $$select type, busy, status, resolvedDrvPath, stopTime is not null, errorMsg from BuildSteps where build = t.id('mid') and stepnr = 2$$,
    $$values (0, 0, 13, t.drv('r-mid'), true, null::text)$$, 'the row has the base name of the resolved derivation');
select is_empty($$select from BuildStepOutputs where build = t.id('mid') and stepnr = 2$$, 'the row has no outputs');
select results_eq(
    $$select resolved, inputs, outputs, paths, build, stepnr, released_at from resolver.resolution where derivation = t.number('mid')$$,
    $$select t.number('r-mid'), array[t.number('leaf'), t.number('leaf')], array['dev', 'out'], array[t.path('leaf-dev'), t.path('leaf')],
             t.id('mid'), 2, null::timestamptz$$, 'the resolution is recorded, with its samples');
select is((select (terminal_build, terminal_stepnr) is null from resolver.resolved_step where build = t.id('mid')), true,
          'the terminal does not exist yet');
select t.keep();
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('mid', 'r-mid')))), 'already',
          'a resolution that is reported twice is recorded once');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('mid', 'other')))), 'refused',
          'another report under the same lease is refused');
select is(t.changed(), '{}', 'these reports change nothing');
select t.finish('r-mid');
select is(t.stage('mid') || ' ' || t.stage('r-mid'), 'realised realised', 'resolved -> realised, with the resolved derivation');
select is(t.steps('mid'), array['1: leaf built', '2: mid resolved to r-mid', '3: r-mid built'], 'the resolved derivation has its own row');
select is((select (terminal_build, terminal_stepnr) from resolver.resolved_step where build = t.id('mid')), (t.id('mid'), 3),
          'this row is the terminal of the resolved step');
select is(resolver.output_paths(t.drv('mid')), jsonb_build_object('out', t.path('r-mid')), 'the follower takes over the outputs');
select is((select array_agg(t.named(d.drv) order by 1) from resolver.realisation n join resolver.derivation d using (derivation)),
          '{leaf,leaf,r-mid}', 'the trace has realisations of built derivations, and none of resolved ones');

-- A derivation resolves to itself.
select t.derivation('static', p_kind => 'input-addressed');
select t.derivation('onstatic', '{static}', 'fixed');
select t.want('onstatic', 'onstatic');
select t.load();
select t.finish('static');
select is(t.stage('onstatic'), 'resolvable', 'a fixed derivation with inputs has to be resolved');
select is(t.resolve('onstatic', null), 'done', 'nothing has to be replaced');
select is(t.stage('onstatic'), 'buildable', 'resolvable -> buildable: the derivation is built as it is');
select is(t.finish('onstatic'), 'done', 'the derivation is built');
select is(t.steps('onstatic'), array['1: static built', '2: onstatic built'], 'the build has no row for a resolution');
select t.derivation('same', '{leaf}');
select t.want('same', 'same');
select t.load();
select is(t.resolve('same', 'same'), 'done', 'a report may name the derivation itself');
select is(t.stage('same'), 'buildable', 'the derivation does not wait for itself');
select t.finish('same');
select is(t.ended('same'), 'status 0', 'the derivation is built');

-- Early cut-off.
select t.derivation('cut', '{leaf}');
select t.derivation('cut-user', '{cut}');
select t.want('cut', 'cut');
select t.want('cut-user', 'cut-user');
select t.load();
select is(t.resolve('cut', 'r-mid'), 'confirm', 'if the resolved derivation is realised, the report has to confirm the outputs');
select results_eq(
    $$select detail::jsonb from resolver.set_resolved_to(jsonb_build_array(t.resolution('cut', 'r-mid')))$$,
    $$values (jsonb_build_object('out', t.path('r-mid')))$$, 'the detail names the outputs');
select t.keep();
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('cut', 'resolve'), t.resolution('cut', 'r-mid') -> 'samples',
                                      t.resolution('cut', 'r-mid') -> 'resolved', t.info())$$,
    'NX014', 'the resolved derivation has known outputs that were not confirmed', 'the singular form raises an error');
select t.resolve('cut', 'r-mid');
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('cut', 'r-mid'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('other'), 'valid', true)))))), '{confirm}',
          'another valid path does not confirm the output');
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('cut', 'r-mid'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-mid'), 'valid', false)))))), '{confirm}',
          'the same path does not confirm the output if it is not valid');
select is(t.changed(), '{}', 'the refused reports change nothing');
select is(t.resolve('cut', 'r-mid', array[t.path('r-mid')]), 'done', 'after the confirmation, the resolution is accepted');
select is(t.stage('cut'), 'realised', 'resolvable -> realised');
select is(t.steps('cut'), array['1: cut resolved to r-mid', '2: r-mid found'], 'the build has its own terminal row, of type 1');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('cut') and stepnr = 2$$,
                  $$values ('out', t.full(t.path('r-mid')))$$, 'the terminal row has the outputs');
select is((select (terminal_build, terminal_stepnr) from resolver.resolved_step where build = t.id('cut')), (t.id('cut'), 2),
          'the resolved step leads to the terminal');
select is(t.ended('cut'), 'status 0 cached', 'the build is finished, as cached');
select is(t.outputs('cut'), jsonb_build_object('out', t.full(t.path('r-mid'))), 'the build has outputs');
select is((select closureSize from Builds where id = t.id('cut')), 300::bigint, 'the build has sizes');
select is((select isCachedBuild from Builds where id = t.id('cut')), 1, 'the build has isCachedBuild = 1');
select is(t.stage('cut-user'), 'resolvable', 'the dependent can go on');
select t.work();
select is(t.steps('cut-user'), array['1: cut-user resolved to r-cut-user', '2: r-cut-user built'],
          'builds of the dependent do not repeat the step');

-- A cut-off below a root, without a look at its products.
select t.derivation('blind', '{leaf}');
select t.want('blind', 'blind');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('blind', 'r-mid', array[t.path('r-mid')]), '{info}', 'null')))), 'done',
          'a report of a cut-off may have no info');
select is(t.ended('blind') || ' ' || t.stage('blind'), 'unfinished unloaded', 'the root is loaded again');
select t.load();
select is(t.ended('blind'), 'status 0 cached', 'the report of load ends the build');
select is(t.steps('blind'), array['1: blind resolved to r-mid', '2: r-mid found'], 'the build has no other row');

-- Outputs that the store has, but the database did not know.
select t.derivation('there', '{leaf}');
select t.want('there', 'there');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('there', 'r-there'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-there'), 'valid', true)))))), 'done',
          'the report has outputs of the resolved derivation that the store has');
select is(t.stage('there') || ' ' || t.stage('r-there'), 'realised realised', 'both derivations are realised');
select is(t.steps('there'), array['1: there resolved to r-there', '2: r-there found'],
          'the row is of type 1, since the outputs were found');
select is((select source from resolver.realisation where derivation = t.number('r-there')), 'local', 'the trace has the outputs as found');
select is(t.ended('there'), 'status 0 cached', 'the build is cached');

-- Two reports found different paths at the same time: the info of the path that is not served does not count.
select t.derivation('either-' || i, '{leaf}') from generate_series(1, 2) i;
select t.want('either-' || i, 'either-' || i) from generate_series(1, 2) i;
select t.load();
select t.claim('resolve');
create function pg_temp.found(p_name text, p_to text, p_path text, p_info jsonb) returns jsonb language sql as $$
    select jsonb_set(t.resolution(p_name, p_to), '{resolved,outputs}',
                     jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path(p_path), 'valid', true)))
           || jsonb_build_object('info', p_info)
$$;
select t.store_has(t.path('one')), t.store_has(t.path('other'));
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(
              pg_temp.found('either-1', 'r-either', 'one', null), pg_temp.found('either-2', 'r-either', 'other', t.info())))),
          '{done,done}', 'one call reports two paths of one derivation');
select is(t.ended('either-1') || ', ' || t.ended('either-2'), 'unfinished, unfinished',
          'no build ends, since the info of the served path is missing');
select t.load();
select is(t.ended('either-1') || ', ' || t.ended('either-2'), 'status 0 cached, status 0 cached',
          'when load has looked at the served path, both builds end');
select is(t.outputs('either-2'), jsonb_build_object('out', t.full(t.path('one'))), 'both builds have the served path');

-- The served path was confirmed: its info counts, even if the store has another path.
select t.derivation('firm', '{leaf}');
select t.want('firm', 'firm');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(pg_temp.found('firm', 'r-either', 'other', t.info()), '{resolved,confirmed}', jsonb_build_array(t.path('one')))))),
          'done', 'a report may find another path and confirm the recorded one');
select is(t.ended('firm'), 'status 0 cached', 'the build ends at once');

-- Two derivations resolve to one that is being built.
select t.derivation('twin-1', '{leaf}');
select t.derivation('twin-2', '{leaf}');
select t.want('twin-1', 'twin-1');
select t.want('twin-2', 'twin-2');
select t.load();
select t.claim('resolve');
select t.resolve('twin-1', 'r-twin');
select is(t.claim('build'), '{r-twin}', 'the resolved derivation of the first is being built');
select is(t.resolve('twin-2', 'r-twin'), 'done', 'the second resolves to the same one');
select is(t.stage('twin-2') || ' ' || t.stage('r-twin'), 'resolved building', 'the second derivation follows it');
select is(t.claim('build'), '{}', 'there is no second attempt');
select t.finish('r-twin');
select is(t.stage('twin-1') || ' ' || t.stage('twin-2'), 'realised realised', 'both derivations end with it');
select is(t.steps('twin-1'), array['1: twin-1 resolved to r-twin', '2: r-twin built'], 'the first build has the built step');
select is(t.steps('twin-2'), array['1: twin-2 resolved to r-twin', '2: r-twin found'], 'the second build has the step as found');
select is(t.ended('twin-1') || ', ' || t.ended('twin-2'), 'status 0, status 0 cached', 'only the first build built it');

-- Two derivations of one build resolve to one.
select t.derivation('half-1', '{leaf}');
select t.derivation('half-2', '{leaf^dev}');
select t.derivation('halves', '{half-1,half-2}');
select t.want('halves', 'halves');
select t.load();
select t.claim('resolve');
select t.resolve('half-1', 'r-half');
select t.resolve('half-2', 'r-half');
select t.finish('r-half');
select is(t.steps('halves'), array['1: half-1 resolved to r-half', '2: half-2 resolved to r-half', '3: r-half built'],
          'one terminal row serves both');
select is((select array_agg(terminal_stepnr) from resolver.resolved_step where build = t.id('halves')), '{3,3}',
          'both resolutions lead to this row');
select t.work();

-- Refused by Nix.
select t.derivation('odd', '{leaf}');
select t.derivation('odd-user', '{odd}');
select t.want('odd', 'odd');
select t.want('odd-user', 'odd-user');
select t.load();
select t.claim('resolve');
select t.keep();
create function pg_temp.refusal() returns jsonb language sql as $$
    select (t.resolution('odd', 'r-odd') - 'resolved') ||
           '{"failed": {"class": "unsupported", "status": 1, "message": "Nix refuses it"}}'
$$;
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(pg_temp.refusal()))), 'done',
          'a derivation that cannot be resolved is reported as failed');
select is(t.stage('odd'), 'failed', 'resolvable -> failed');
select is(t.steps('odd'), array['1: odd status 1'], 'the row has the status');
select is((select errorMsg from BuildSteps where build = t.id('odd')), 'Nix refuses it', 'the row has the reason');
select is(t.ended('odd') || ', ' || t.ended('odd-user'), 'status 1, status 2',
          'the build of the derivation fails, and the dependent build too');
select is(t.steps('odd-user'), array['1: odd status 1 from odd'], 'the dependent build has the row');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(pg_temp.refusal()))), 'already', 'the same report is recognised');

-- Stale.
select t.derivation('in');
select t.derivation('old', '{in}');
select t.want('old', 'old');
select t.load();
select t.finish('in');
select t.claim('resolve');
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('old', 'resolve'),
          jsonb_build_array(jsonb_build_array(t.drv('in'), 'out', t.path('elsewhere'))), null)$$,
    'NX013', 'the resolution was made from paths that are no longer in force', 'a sample of a path that is not served is stale');
select throws_ok($$select resolver.set_resolved_to(t.lease('old', 'resolve'), '[]', null)$$,
    'NX013', null, 'a resolution that did not sample every input is stale');
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('old', 'resolve'), t.resolution('old', 'r-old') -> 'samples'
          || jsonb_build_array(jsonb_build_array(t.drv('nobody'), 'out', t.path('nobody'))), null)$$,
    'NX013', null, 'a resolution with other samples is stale');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('old', 'r-old') || '{"samples": []}'))), 'stale',
          'the plural form returns stale');
select is(t.stage('old'), 'resolvable', 'the inputs are valid, so the derivation stays resolvable');
select is(t.claim('resolve'), '{old}', 'the derivation is claimed again');
-- A lost input ends the claim. In addition, the function compares the paths with those in force.
update resolver.output set valid_since = null where derivation = t.number('in');
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('old', 'resolve'), t.resolution('old', 'r-old') -> 'samples', null)$$,
    'NX013', null, 'a sample of a path that is not valid any more is stale');
select throws_ok($$select resolver.set_resolved_to(t.lease('old', 'resolve'), '[]', null)$$, 'NX013', null,
                 'a report without samples is stale');
update resolver.output set valid_since = resolver.clock() where derivation = t.number('in');
select resolver.invalidate_paths(array[t.path('in')]);
select is(t.stage('old'), 'waiting', 'resolvable -> waiting if an input is lost');
select t.keep();
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('old', 'r-old')))), 'lease_lost',
          'a later report is refused');
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('old', 'resolve'), t.resolution('old', 'r-old') -> 'samples',
                                      t.resolution('old', 'r-old') -> 'resolved')$$,
    'NX011', 'the lease was taken back', 'the singular form raises an error');
select is(t.changed(), '{}', 'the refused reports change nothing');
select t.store_loses(t.path('in'));
select t.work();
select is(t.ended('old'), 'status 0', 'the input is built again, and the derivation is resolved again');

-- The resolved derivation failed before.
select t.derivation('bad', '{leaf}');
select t.want('bad', 'bad');
select t.load();
select t.resolve('bad', 'r-bad');
select t.fail('r-bad');
select t.pass('1 hour');
select t.derivation('bad-too', '{leaf}');
select t.want('bad-too', 'bad-too');
select t.load();
select is(t.resolve('bad-too', 'r-bad'), 'done', 'a derivation resolves to a failed one');
select is(t.stage('bad-too'), 'failed', 'resolvable -> failed, at once');
select is(t.ended('bad-too'), 'status 1 cached', 'the build is a cached failure with status 1, since its own derivation failed');
select is(t.steps('bad-too'), array['1: bad-too resolved to r-bad', '2: r-bad status 8 from bad'],
          'the rows name the build of the failed attempt');
-- The same for older builds that resolve to it after the failure, but not for builds that share the attempt.
select t.derivation('slow-leaf');
select t.derivation('bad-early', '{slow-leaf}');
select t.derivation('early-top', '{bad-early}');
select t.derivation('bad-first', '{leaf}');
select t.derivation('bad-second', '{leaf}');
select t.want(j, j) from unnest('{bad-early,early-top,bad-first,bad-second}'::text[]) j;
select t.want('bad-early-2', 'bad-early');
select t.load();
select t.resolve('bad-first', 'r-bad-2');
select t.resolve('bad-second', 'r-bad-2');
select t.claim('build');
select t.pass('1 minute');
select t.fail('r-bad-2');
select is(t.ended('bad-first') || ', ' || t.ended('bad-second'), 'status 1, status 1',
          'a build that waits for a failing attempt is not cached');
select t.finish('slow-leaf');
select t.pass('1 minute');
select t.resolve('bad-early', 'r-bad-2');
select is(t.ended('bad-early') || ', ' || t.ended('bad-early-2'), 'status 1 cached, status 1 cached',
          'a build that resolves to it later is cached');
select is(t.steps('bad-early'), array['1: slow-leaf built', '2: bad-early resolved to r-bad-2', '3: r-bad-2 status 8 from bad-first'],
          'the build has a row with status 8, even if it is older than the failure');
select is(t.steps('bad-early-2'), array['1: bad-early resolved to r-bad-2', '2: r-bad-2 status 8 from bad-first'],
          'each build has this row');
select is(t.ended('early-top') || ', ' || t.steps('early-top')::text, 'status 2 cached, {"1: r-bad-2 status 8 from bad-first"}',
          'a dependent build is cached, too');
select t.derivation('weak', '{leaf}');
select t.want('weak', 'weak');
select t.load();
select t.resolve('weak', 'r-weak');
select t.fail('r-weak', 'timeout', 7);
select t.derivation('weak-too', '{leaf}');
select t.want('weak-too', 'weak-too');
select t.load();
select t.resolve('weak-too', 'r-weak');
select is(t.stage('r-weak'), 'buildable', 'a failure that is not the builder''s is not cached: the derivation is tried again');
select t.finish('r-weak');
select is(t.ended('weak-too'), 'status 0', 'the second attempt succeeds');
select t.derivation('healed', '{leaf}');
select t.want('healed', 'healed');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('healed', 'r-bad'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-bad'), 'valid', true)))))), 'done',
          'a derivation resolves to a failed one whose outputs the store has by now');
select is(t.ended('healed'), 'status 0 cached', 'the build succeeds');
select is_empty($$select from resolver.failure where derivation = t.number('r-bad') and cleared_at is null$$, 'the failure is cleared');

select t.derivation('ill', '{leaf}');
select t.derivation('uses-ill', '{ill}');
select t.derivation('uses-user', '{uses-ill}');
select t.want('uses-user', 'uses-user');
select t.load();
select t.resolve('ill', 'r-ill');
select t.fail('r-ill', 'timeout', 7);
select t.derivation('needs-r', '{r-ill}');
select t.derivation('needs-that', '{needs-r}');
select t.derivation('r-ill');
select t.want('needs-that', 'needs-that');
select t.load();
select t.fail('r-ill', 'timeout', 7);
create function pg_temp.in_vain() returns text[] language sql as $$
    select array_agg(d.name order by d.name) from resolver.derivation_state s join resolver.derivation d using (derivation)
     where s.failed_dependency is not null and d.name ~ 'ill|user|needs' and d.name <> 'odd-user'
$$;
select is(pg_temp.in_vain(), '{ill,needs-r,needs-that,uses-ill,uses-user}',
          'these derivations failed, or have a failed dependency, because of one derivation');
select t.derivation('healthy', '{leaf}');
select t.want('healthy', 'healthy');
select t.load();
select t.claim('resolve');
select resolver.set_resolved_to(jsonb_build_array(
    jsonb_set(t.resolution('healthy', 'r-ill'), '{resolved,outputs}',
              jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-ill'), 'valid', true)))));
select is(pg_temp.in_vain(), null, 'when that derivation is realised, all of them go on, at any depth');

-- The resolved derivation is the root of a build, and its outputs are valid, but its products were not read.
select t.derivation('own', '{leaf}');
select t.derivation('own-user', '{own}');
select t.derivation('r-own');
select t.want('own-user', 'own-user');
select t.want('r-own', 'r-own');
select t.load();
select t.claim('resolve');
select t.store_has(t.path('r-own'));
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('own', 'r-own'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-own'), 'valid', true)))
              || '{"info": null}'))), 'done', 'a derivation resolves to another build''s root, whose outputs the store has');
select is(t.stage('own') || ' ' || t.stage('r-own'), 'realised unloaded', 'the follower ends at once, and the root is loaded again');
select t.load();
select is(t.ended('r-own'), 'status 0 cached', 'the root is not built again');

-- The build was deleted meanwhile.
select t.derivation('gone', '{leaf}');
select t.want('gone', 'gone');
select t.load();
select t.claim('resolve');
delete from Builds where id = t.id('gone');
select is(t.resolve('gone', 'r-gone'), 'done', 'the resolution of a deleted build is recorded without a row');
select is(t.stage('gone'), 'resolved', 'the derivation is resolved');
select resolver.sync_builds();
select is(t.claim('build'), '{}', 'the resolved derivation is not built');

-- A realised derivation need not be written, and a report without the .drv never makes it buildable.
create function pg_temp.unwritten(p_name text, p_to text, p_paths text[]) returns text language plpgsql as $$
begin
    perform t.ensure_claimed(p_name, 'resolve');
    return (select a.outcome || coalesce(' ' || a.detail, '') from resolver.set_resolved_to(jsonb_build_array(
        t.resolution(p_name, p_to) || jsonb_build_object('resolved', jsonb_build_object(
            'drv', t.drv(p_to), 'written', false, 'confirmed', to_jsonb(p_paths), 'outputs', '[]'::jsonb)))) a);
end
$$;
select t.derivation('wi');
select t.derivation('w' || i, '{wi}') from generate_series(1, 3) i;
select t.want('w' || i, 'w' || i) from generate_series(1, 3) i;
select t.load();
select t.finish('wi');
select is(pg_temp.unwritten('w1', 'r-w', '{}'), 'confirm {}', 'the .drv of an unknown derivation has to be written');
select is_empty($$select from resolver.derivation where drv = t.drv('r-w')$$, 'the unknown derivation is not recorded');
select t.resolve('w1', 'r-w');
select is(pg_temp.unwritten('w2', 'r-w', '{}'), 'confirm {}', 'the .drv of a derivation that is not realised has to be written');
select t.finish('r-w');
select is(pg_temp.unwritten('w2', 'r-w', '{}'), format('confirm {"out": "%s"}', t.path('r-w')), 'the outputs have to be confirmed');
select is(pg_temp.unwritten('w2', 'r-w', array[t.path('r-w')]), 'done', 'the .drv of a realised derivation need not be written');
select is(t.ended('w2'), 'status 0 cached', 'the follower ends at once');
select resolver.invalidate_paths(array[t.path('r-w')]);
select is(pg_temp.unwritten('w3', 'r-w', array[t.path('r-w')]), 'confirm {}', 'an output was lost after the confirmation');
select is(t.stage('w3') || ' ' || (t.stage('r-w') in ('buildable', 'building')), 'resolvable false',
          'the resolved derivation is not to be built');

-- A build's own attempt at its root's resolved derivation is not cached, even if the root is resolved again after the attempt.
select t.derivation('i1');
select t.derivation('root1', '{i1}');
select t.want('root1', 'root1');
select t.load();
select t.finish('i1');
select t.claim('resolve');
select t.resolve('root1', 'r-root1');
select t.claim('build');
select t.pass('1 minute');
select resolver.invalidate_paths(array[t.path('i1')]);
select is(t.stage('root1') || ' ' || t.stage('r-root1'), 'waiting building',
          'an input is lost meanwhile: the root does not follow the attempt any more');
select resolver.fail_steps(jsonb_build_array(t.failure('r-root1')));
select t.pass('1 minute');
select t.load();
select t.finish('i1');
select t.claim('resolve');
select t.resolve('root1', 'r-root1');
select is(t.ended('root1'), 'status 1', 'the build is not cached, since the attempt was its own');
select t.pass('1 minute');
select t.want('root2', 'root1');
select t.load();
select is(t.ended('root2'), 'status 1 cached', 'another build is cached');

-- The same if the attempt succeeds.
select t.derivation('i2');
select t.derivation('root3', '{i2}');
select t.want('root3', 'root3');
select t.load();
select t.finish('i2');
select t.claim('resolve');
select t.resolve('root3', 'r-root3');
select t.claim('build');
select resolver.invalidate_paths(array[t.path('i2')]);
select t.pass('1 minute');
select resolver.finish_steps(jsonb_build_array(t.success('r-root3')));
select t.load();
select t.finish('i2');
select t.claim('resolve');
select t.resolve('root3', 'r-root3', array[t.path('r-root3')]);
select is(t.ended('root3'), 'status 0', 'a build that built its root is not cached');

-- The .drv of a resolved derivation is gone: the follower is resolved again.
select t.derivation('i3');
select t.derivation('root4', '{i3}');
select t.want('root4', 'root4');
select t.load();
select t.finish('i3');
select t.claim('resolve');
select t.resolve('root4', 'r-root4');
select t.claim('build');
select is(resolver.invalidate_paths(array[t.drv('r-root4')]), 1, 'the path is withdrawn');
select is(t.stage('root4') || ' ' || t.stage('r-root4'), 'resolvable buildable', 'the follower is resolvable again');
select is((select owner from resolver.derivation_state where derivation = t.number('r-root4')), null,
          'until then no build needs the resolved derivation');
select is(resolver.invalidate_paths(array[t.drv('r-root4')]), 0, 'a second call finds nothing');
select t.claim('resolve');
select t.resolve('root4', 'r-root4');
select t.finish('r-root4');
select is(t.ended('root4') || ' ' || array_to_string(t.steps('root4'), ', '), 'status 0 1: i3 built, 2: root4 resolved to r-root4, 3: r-root4 built',
          'the build has the same rows as without the loss');

select * from t.done();
rollback;
