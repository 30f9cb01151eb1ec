-- set_resolved_to(reports), set_resolved_to(lease, samples, resolved, info): what derivations resolve to.
\ir include/farm.sql

select has_function('resolver', 'set_resolved_to', array['jsonb'], 'the plural form');
select function_returns('resolver', 'set_resolved_to', array['bigint', 'jsonb', 'jsonb', 'jsonb'], 'void', 'the singular form');

-- It resolves to another one.
select t.derivation('leaf', p_outputs => '{out,dev}');
select t.derivation('mid', '{"leaf^out,dev"}');
select t.want('mid', 'mid');
select t.load();
select t.finish('leaf');
select is(t.claim('resolve'), '{mid}', 'a derivation whose inputs are there is claimed for resolve');
select is(t.claimed('mid', 'resolve') -> 'inputs',
          jsonb_build_object(t.drv('leaf'), jsonb_build_object('out', t.path('leaf'), 'dev', t.path('leaf-dev'))),
          'the claim has the path of every output that it uses');
select t.keep();
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              t.resolution('mid', 'r-mid') || jsonb_build_object('lease', 999999)))), 'refused', 'a lease that never was is refused');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              t.resolution('mid', 'r-mid') || jsonb_build_object('lease', t.lease('leaf', 'build'))))), 'refused',
          'so is the lease of another verb');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('mid', 'r-mid') - 'resolved'))), 'refused',
          'so is a report that says neither what it resolves to nor that it failed');
select is(t.changed(), '{}', 'and nothing changed');
select is(t.resolve('mid', 'r-mid'), 'done', 'the resolution is reported');
select is(t.stage('mid') || ' ' || t.stage('r-mid'), 'resolved buildable', 'resolvable -> resolved; its resolution can be built');
select is((select resolved_to from resolver.derivation_state where derivation = t.number('mid')), t.number('r-mid'), 'which it follows');
select is(t.steps('mid'), array['1: leaf built', '2: mid resolved to r-mid'], 'a step row with status 13 says so');
select results_eq(
    $$select type, busy, status, resolvedDrvPath, stopTime is not null, errorMsg from BuildSteps where build = t.id('mid') and stepnr = 2$$,
    $$values (0, 0, 13, t.drv('r-mid'), true, null::text)$$, 'with the base name of what it was resolved to');
select is_empty($$select from BuildStepOutputs where build = t.id('mid') and stepnr = 2$$, 'and no outputs');
select results_eq(
    $$select resolved, inputs, outputs, paths, build, stepnr, released_at from resolver.resolution where derivation = t.number('mid')$$,
    $$select t.number('r-mid'), array[t.number('leaf'), t.number('leaf')], array['dev', 'out'], array[t.path('leaf-dev'), t.path('leaf')],
             t.id('mid'), 2, null::timestamptz$$, 'the resolution is kept, with what was sampled');
select is((select (terminal_build, terminal_stepnr) is null from resolver.resolved_step where build = t.id('mid')), true,
          'its terminal is not there yet');
select t.keep();
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('mid', 'r-mid')))), 'already',
          'a resolution that is reported twice is recorded once');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('mid', 'other')))), 'refused',
          'another one under the same lease is refused');
select is(t.changed(), '{}', 'and nothing changed');
select t.finish('r-mid');
select is(t.stage('mid') || ' ' || t.stage('r-mid'), 'realised realised', 'resolved -> realised, with its resolution');
select is(t.steps('mid'), array['1: leaf built', '2: mid resolved to r-mid', '3: r-mid built'], 'the resolution has a row of its own');
select is((select (terminal_build, terminal_stepnr) from resolver.resolved_step where build = t.id('mid')), (t.id('mid'), 3),
          'which is the terminal of the resolved one');
select is(resolver.output_paths(t.drv('mid')), jsonb_build_object('out', t.path('r-mid')), 'it takes over the outputs');
select is((select array_agg(t.named(d.drv) order by 1) from resolver.realisation n join resolver.derivation d using (derivation)),
          '{leaf,leaf,r-mid}', 'the trace has realisations of what was built, not of what was resolved');

-- It resolves to itself.
select t.derivation('static', p_kind => 'input-addressed');
select t.derivation('onstatic', '{static}', 'fixed');
select t.want('onstatic', 'onstatic');
select t.load();
select t.finish('static');
select is(t.stage('onstatic'), 'resolvable', 'a fixed derivation with inputs has to be resolved');
select is(t.resolve('onstatic', null), 'done', 'nothing had to be replaced');
select is(t.stage('onstatic'), 'buildable', 'resolvable -> buildable: it is built as it is');
select is(t.finish('onstatic'), 'done', 'and built');
select is(t.steps('onstatic'), array['1: static built', '2: onstatic built'], 'with no row for a resolution');
select t.derivation('same', '{leaf}');
select t.want('same', 'same');
select t.load();
select is(t.resolve('same', 'same'), 'done', 'a report may also say that it resolves to itself');
select is(t.stage('same'), 'buildable', 'with the same effect: it does not wait for itself');
select t.finish('same');
select is(t.ended('same'), 'status 0', 'and it can be built');

-- Early cut-off.
select t.derivation('cut', '{leaf}');
select t.derivation('cut-user', '{cut}');
select t.want('cut', 'cut');
select t.want('cut-user', 'cut-user');
select t.load();
select is(t.resolve('cut', 'r-mid'), 'confirm', 'it resolves to what is realised: the report has to confirm the outputs');
select results_eq(
    $$select detail::jsonb from resolver.set_resolved_to(jsonb_build_array(t.resolution('cut', 'r-mid')))$$,
    $$values (jsonb_build_object('out', t.path('r-mid')))$$, 'the answer names them');
select t.keep();
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('cut', 'resolve'), t.resolution('cut', 'r-mid') -> 'samples',
                                      t.resolution('cut', 'r-mid') -> 'resolved', t.info())$$,
    'NX014', 'the resolved derivation has known outputs that were not confirmed', 'the singular form raises');
select t.resolve('cut', 'r-mid');
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('cut', 'r-mid'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('other'), 'valid', true)))))), '{confirm}',
          'another path that is valid does not confirm it');
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('cut', 'r-mid'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-mid'), 'valid', false)))))), '{confirm}',
          'nor does the same path if it is not valid');
select is(t.changed(), '{}', 'nothing changed by asking');
select is(t.resolve('cut', 'r-mid', array[t.path('r-mid')]), 'done', 'confirmed, it ends at once');
select is(t.stage('cut'), 'realised', 'resolvable -> realised');
select is(t.steps('cut'), array['1: cut resolved to r-mid', '2: r-mid found'], 'the build has a terminal row of its own, of type 1');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('cut') and stepnr = 2$$,
                  $$values ('out', t.full(t.path('r-mid')))$$, 'with its outputs');
select is((select (terminal_build, terminal_stepnr) from resolver.resolved_step where build = t.id('cut')), (t.id('cut'), 2),
          'the resolved step leads to it');
select is(t.ended('cut'), 'status 0 cached', 'the build is finished, as cached');
select is(t.outputs('cut'), jsonb_build_object('out', t.full(t.path('r-mid'))), 'with outputs');
select is((select closureSize from Builds where id = t.id('cut')), 300::bigint, 'and sizes');
select is((select isCachedBuild from Builds where id = t.id('cut')), 1, 'isCachedBuild = 1');
select is(t.stage('cut-user'), 'resolvable', 'and what depends on it can go on');
select t.work();
select is(t.steps('cut-user'), array['1: cut-user resolved to r-cut-user', '2: r-cut-user built'], 'it is not repeated in its builds');

-- A cut-off under a root that nobody looked at.
select t.derivation('blind', '{leaf}');
select t.want('blind', 'blind');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('blind', 'r-mid', array[t.path('r-mid')]), '{info}', 'null')))), 'done',
          'a cut-off report that did not read the products');
select is(t.ended('blind') || ' ' || t.stage('blind'), 'unfinished unloaded', 'has the root looked at once more');
select t.load();
select is(t.ended('blind'), 'status 0 cached', 'which ends the build');
select is(t.steps('blind'), array['1: blind resolved to r-mid', '2: r-mid found'], 'without another row');

-- Outputs that the store has, but the database did not know.
select t.derivation('there', '{leaf}');
select t.want('there', 'there');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('there', 'r-there'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-there'), 'valid', true)))))), 'done',
          'the report found the outputs of the resolved derivation in the store');
select is(t.stage('there') || ' ' || t.stage('r-there'), 'realised realised', 'both are realised');
select is(t.steps('there'), array['1: there resolved to r-there', '2: r-there found'], 'and it is told that they were found');
select is((select source from resolver.realisation where derivation = t.number('r-there')), 'local', 'the trace says so, too');
select is(t.ended('there'), 'status 0 cached', 'the build is cached');

-- Two reports found different paths at the same time: what was read of the one that is not served counts for nothing.
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
          '{done,done}', 'of one derivation two paths are found in one call');
select is(t.ended('either-1') || ', ' || t.ended('either-2'), 'unfinished, unfinished', 'nobody has read the one that is served');
select t.load();
select is(t.ended('either-1') || ', ' || t.ended('either-2'), 'status 0 cached, status 0 cached', 'until it is looked at');
select is(t.outputs('either-2'), jsonb_build_object('out', t.full(t.path('one'))), 'which is the same for both');

-- The path that is served was confirmed: what is said of it counts, also where the store has another one.
select t.derivation('firm', '{leaf}');
select t.want('firm', 'firm');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(pg_temp.found('firm', 'r-either', 'other', t.info()), '{resolved,confirmed}', jsonb_build_array(t.path('one')))))),
          'done', 'another path was found, and the one on record confirmed');
select is(t.ended('firm'), 'status 0 cached', 'the build ends at once');

-- Two derivations resolve to one that is in flight.
select t.derivation('twin-1', '{leaf}');
select t.derivation('twin-2', '{leaf}');
select t.want('twin-1', 'twin-1');
select t.want('twin-2', 'twin-2');
select t.load();
select t.claim('resolve');
select t.resolve('twin-1', 'r-twin');
select is(t.claim('build'), '{r-twin}', 'the resolution of the first is being built');
select is(t.resolve('twin-2', 'r-twin'), 'done', 'the second resolves to the same one');
select is(t.stage('twin-2') || ' ' || t.stage('r-twin'), 'resolved building', 'and follows it');
select is(t.claim('build'), '{}', 'there is no second attempt');
select t.finish('r-twin');
select is(t.stage('twin-1') || ' ' || t.stage('twin-2'), 'realised realised', 'both end with it');
select is(t.steps('twin-1'), array['1: twin-1 resolved to r-twin', '2: r-twin built'], 'it is built in the first build');
select is(t.steps('twin-2'), array['1: twin-2 resolved to r-twin', '2: r-twin found'], 'and found in the second');
select is(t.ended('twin-1') || ', ' || t.ended('twin-2'), 'status 0, status 0 cached', 'only the first built it');

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
select is((select array_agg(terminal_stepnr) from resolver.resolved_step where build = t.id('halves')), '{3,3}', 'both lead to it');
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
          'a derivation that can''t be resolved is reported as failed');
select is(t.stage('odd'), 'failed', 'resolvable -> failed');
select is(t.steps('odd'), array['1: odd status 1'], 'its row has the status');
select is((select errorMsg from BuildSteps where build = t.id('odd')), 'Nix refuses it', 'and the reason');
select is(t.ended('odd') || ', ' || t.ended('odd-user'), 'status 1, status 2', 'its build fails, its dependent''s for its sake');
select is(t.steps('odd-user'), array['1: odd status 1 from odd'], 'which is told there, too');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(pg_temp.refusal()))), 'already', 'the repetition is known');

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
    'NX013', null, 'so is a resolution that did not sample every input');
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('old', 'resolve'), t.resolution('old', 'r-old') -> 'samples'
          || jsonb_build_array(jsonb_build_array(t.drv('nobody'), 'out', t.path('nobody'))), null)$$,
    'NX013', null, 'and one that sampled something else');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('old', 'r-old') || '{"samples": []}'))), 'stale',
          'the plural form answers');
select is(t.stage('old'), 'resolvable', 'the inputs are there: it can be claimed again');
select is(t.claim('resolve'), '{old}', 'and is');
-- A lost input ends the claim; should that ever be missed, paths are compared with what is in force.
update resolver.output set valid_since = null where derivation = t.number('in');
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('old', 'resolve'), t.resolution('old', 'r-old') -> 'samples', null)$$,
    'NX013', null, 'a sample of a path that is not valid any more is stale');
select throws_ok($$select resolver.set_resolved_to(t.lease('old', 'resolve'), '[]', null)$$, 'NX013', null, 'so is none');
update resolver.output set valid_since = resolver.clock() where derivation = t.number('in');
select resolver.invalidate_paths(array[t.path('in')]);
select is(t.stage('old'), 'waiting', 'resolvable -> waiting when an input is lost');
select t.keep();
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('old', 'r-old')))), 'lease_lost',
          'a report that comes after that is for nothing');
select throws_ok(
    $$select resolver.set_resolved_to(t.lease('old', 'resolve'), t.resolution('old', 'r-old') -> 'samples',
                                      t.resolution('old', 'r-old') -> 'resolved')$$,
    'NX011', 'the lease was taken back', 'the singular form raises');
select is(t.changed(), '{}', 'and changes nothing');
select t.store_loses(t.path('in'));
select t.work();
select is(t.ended('old'), 'status 0', 'the input is built again, and the derivation resolved anew');

-- A resolution that failed before.
select t.derivation('bad', '{leaf}');
select t.want('bad', 'bad');
select t.load();
select t.resolve('bad', 'r-bad');
select t.fail('r-bad');
select t.pass('1 hour');
select t.derivation('bad-too', '{leaf}');
select t.want('bad-too', 'bad-too');
select t.load();
select is(t.resolve('bad-too', 'r-bad'), 'done', 'it resolves to what is known to fail');
select is(t.stage('bad-too'), 'failed', 'resolvable -> failed, at once');
select is(t.ended('bad-too'), 'status 1 cached', 'a cached failure; status 1, since it is the build''s own derivation');
select is(t.steps('bad-too'), array['1: bad-too resolved to r-bad', '2: r-bad status 8 from bad'], 'and its rows say whose it is');
-- The same for builds that were there before it failed, but resolve to it afterwards; not for who shares the attempt.
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
select is(t.ended('bad-first') || ', ' || t.ended('bad-second'), 'status 1, status 1', 'who waits for an attempt that fails has no cached failure');
select t.finish('slow-leaf');
select t.pass('1 minute');
select t.resolve('bad-early', 'r-bad-2');
select is(t.ended('bad-early') || ', ' || t.ended('bad-early-2'), 'status 1 cached, status 1 cached', 'who resolves to it later has');
select is(t.steps('bad-early'), array['1: slow-leaf built', '2: bad-early resolved to r-bad-2', '3: r-bad-2 status 8 from bad-first'],
          'with a row of status 8, though the build is older than the failure');
select is(t.steps('bad-early-2'), array['1: bad-early resolved to r-bad-2', '2: r-bad-2 status 8 from bad-first'], 'in each build');
select is(t.ended('early-top') || ', ' || t.steps('early-top')::text, 'status 2 cached, {"1: r-bad-2 status 8 from bad-first"}', 'and so has who depends on it');
select t.derivation('weak', '{leaf}');
select t.want('weak', 'weak');
select t.load();
select t.resolve('weak', 'r-weak');
select t.fail('r-weak', 'timeout', 7);
select t.derivation('weak-too', '{leaf}');
select t.want('weak-too', 'weak-too');
select t.load();
select t.resolve('weak-too', 'r-weak');
select is(t.stage('r-weak'), 'buildable', 'a failure that is not the builder''s is not remembered: it is tried again');
select t.finish('r-weak');
select is(t.ended('weak-too'), 'status 0', 'and may succeed');
select t.derivation('healed', '{leaf}');
select t.want('healed', 'healed');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('healed', 'r-bad'), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-bad'), 'valid', true)))))), 'done',
          'it resolves to what failed, but the store has the outputs by now');
select is(t.ended('healed'), 'status 0 cached', 'it succeeds');
select is_empty($$select from resolver.failure where derivation = t.number('r-bad') and cleared_at is null$$, 'and the failure is forgotten');

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
select is(pg_temp.in_vain(), '{ill,needs-r,needs-that,uses-ill,uses-user}', 'derivations that failed, or wait in vain, for the sake of one');
select t.derivation('healthy', '{leaf}');
select t.want('healthy', 'healthy');
select t.load();
select t.claim('resolve');
select resolver.set_resolved_to(jsonb_build_array(
    jsonb_set(t.resolution('healthy', 'r-ill'), '{resolved,outputs}',
              jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-ill'), 'valid', true)))));
select is(pg_temp.in_vain(), null, 'may all go on once that one is there, however far away');

-- What it resolves to is the root of a build, and its outputs are there, but nobody looked for its products.
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
              || '{"info": null}'))), 'done', 'it resolves to what the store has, which is another build''s root');
select is(t.stage('own') || ' ' || t.stage('r-own'), 'realised unloaded', 'it ends at once; that root is looked at');
select t.load();
select is(t.ended('r-own'), 'status 0 cached', 'and not built again');

-- The build was deleted meanwhile.
select t.derivation('gone', '{leaf}');
select t.want('gone', 'gone');
select t.load();
select t.claim('resolve');
delete from Builds where id = t.id('gone');
select is(t.resolve('gone', 'r-gone'), 'done', 'the build was deleted: the resolution is recorded without a row');
select is(t.stage('gone'), 'resolved', 'the derivation is resolved');
select resolver.sync_builds();
select is(t.claim('build'), '{}', 'and nobody builds it');

-- What is realised need not be written: and is never built on the strength of such a report.
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
select is(pg_temp.unwritten('w1', 'r-w', '{}'), 'confirm {}', 'what is unknown has to be written');
select is_empty($$select from resolver.derivation where drv = t.drv('r-w')$$, 'and nothing is known of it');
select t.resolve('w1', 'r-w');
select is(pg_temp.unwritten('w2', 'r-w', '{}'), 'confirm {}', 'so has what is not realised');
select t.finish('r-w');
select is(pg_temp.unwritten('w2', 'r-w', '{}'), format('confirm {"out": "%s"}', t.path('r-w')), 'its outputs have to be confirmed');
select is(pg_temp.unwritten('w2', 'r-w', array[t.path('r-w')]), 'done', 'what is realised need not be written');
select is(t.ended('w2'), 'status 0 cached', 'and ends it at once');
select resolver.invalidate_paths(array[t.path('r-w')]);
select is(pg_temp.unwritten('w3', 'r-w', array[t.path('r-w')]), 'confirm {}', 'an output was lost after it was confirmed');
select is(t.stage('w3') || ' ' || (t.stage('r-w') in ('buildable', 'building')), 'resolvable false', 'nothing is to be built');

-- A build's own attempt at what its root was resolved to is not cached, though the root is resolved to it again when it has ended.
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
select is(t.stage('root1') || ' ' || t.stage('r-root1'), 'waiting building', 'an input is lost meanwhile: nothing is resolved to it any more');
select resolver.fail_steps(jsonb_build_array(t.failure('r-root1')));
select t.pass('1 minute');
select t.load();
select t.finish('i1');
select t.claim('resolve');
select t.resolve('root1', 'r-root1');
select is(t.ended('root1'), 'status 1', 'the attempt was the build''s own');
select t.pass('1 minute');
select t.want('root2', 'root1');
select t.load();
select is(t.ended('root2'), 'status 1 cached', 'it is cached for another build');

-- The same when it succeeds.
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
select is(t.ended('root3'), 'status 0', 'what was built for it is not cached');

-- A .drv that was written for a resolution is gone: it is resolved again.
select t.derivation('i3');
select t.derivation('root4', '{i3}');
select t.want('root4', 'root4');
select t.load();
select t.finish('i3');
select t.claim('resolve');
select t.resolve('root4', 'r-root4');
select t.claim('build');
select is(resolver.invalidate_paths(array[t.drv('r-root4')]), 1, 'that was news');
select is(t.stage('root4') || ' ' || t.stage('r-root4'), 'resolvable buildable', 'it is to be written again');
select is((select owner from resolver.derivation_state where derivation = t.number('r-root4')), null, 'until then nothing needs it');
select is(resolver.invalidate_paths(array[t.drv('r-root4')]), 0, 'once');
select t.claim('resolve');
select t.resolve('root4', 'r-root4');
select t.finish('r-root4');
select is(t.ended('root4') || ' ' || array_to_string(t.steps('root4'), ', '), 'status 0 1: i3 built, 2: root4 resolved to r-root4, 3: r-root4 built',
          'with the rows that it would have had');

select * from t.done();
rollback;
