-- Claims whose derivations move on without their reports, and attempts that were cut short. Races: isolation/specs/claim_*.
\ir include/farm.sql

select lives_ok($$select resolver.failpoint('anything')$$, 'a failpoint does nothing');
select has_function('resolver', 'close_leases_of', array['bigint[]'], 'there is a function for such claims');

-- A worker dies when Nix had finished its build: the next attempt finds the outputs, and ends the same row as a success.
select t.derivation('a');
select t.want('a', 'a');
select t.want('a2', 'a');
select t.load();
select t.claim('build');
select t.pass('2 minutes');
select resolver.sweep();
select t.worker('next');
select t.pass('1 minute');
select is(t.claim('build', 1, 'next'), '{a}', 'it is claimed again');
select results_eq($$select stepnr, busy, status, errorMsg, machine, startTime, stopTime from BuildSteps$$,
                  $$select 1, 30, null::integer, null, 'localhost', resolver.hydra_time(resolver.clock()), null::integer$$,
                  'the row is that of an attempt that has just begun');
select t.pass('1 second');
select resolver.finish_steps(jsonb_build_array(t.success('a') || '{"log": null, "times_built": 1}'));
select results_eq($$select stepnr, busy, status, errorMsg, machine, stopTime - startTime from BuildSteps$$,
                  $$values (1, 0, 0, null, 'here', 1)$$, 'and then that of one that succeeded');
select is(t.ended('a') || ', ' || t.ended('a2'), 'status 0, status 0 cached', 'it was built on the account of its build');
select is((select count(*) from resolver.realisation where build = t.id('a') and stepnr = 1 and source = 'built'), 1::bigint, 'and traced so');
select t.worker();

-- Meanwhile another derivation resolves to it, and whoever resolves finds the outputs in the store. What was being built is
-- not "already there": it gets the row of its attempt, and is nobody's early cut-off.
select t.derivation('b');
select t.derivation('c');
select t.derivation('x', '{b}');
select t.derivation('y', '{c}');
select t.want('x', 'x');
select t.want('y', 'y');
select t.load();
select t.finish('b');
select t.resolve('x', 'r');
select t.claim('build', 1);
select is(t.stage('r'), 'building', 'the resolution is being built');
select resolver.release_claims(w.worker, array[t.lease('r', 'build')], 'the power went out') from resolver.worker w where gone_at is null;
select t.ensure_claimed('c', 'build');
select t.finish('c');
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(jsonb_set(
              t.resolution('y', 'r'), '{resolved,outputs}', jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r'), 'valid', true)))))),
          'done', 'its outputs are found to be valid by another verb');
select is(t.stage('r') || ' ' || t.stage('x') || ' ' || t.stage('y'), 'buildable resolved resolved', 'its attempt still has to end');
select t.claim('build');
select t.finish('r');
select is(t.steps('x'), '{"1: b built","2: x resolved to r","3: r built"}', 'it ends as the step that it was');
select is(t.ended('x') || ', ' || t.ended('y'), 'status 0, status 0 cached', 'on the account of the build that it was for');

-- The same while it is being built: only its own report says what came of it.
select t.derivation('p');
select t.derivation('q');
select t.derivation('x2', '{p}');
select t.derivation('y2', '{q}');
select t.want('x2', 'x2');
select t.want('y2', 'y2');
select t.load();
select t.claim('build');
select t.finish('p');
select t.finish('q');
select t.claim('resolve');
select t.resolve('x2', 'r2');
select t.claim('build');
select resolver.set_resolved_to(jsonb_build_array(jsonb_set(
    t.resolution('y2', 'r2'), '{resolved,outputs}', jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r2'), 'valid', true)))));
select is(t.stage('r2') || ' ' || t.stage('x2') || ' ' || t.stage('y2'), 'building resolved resolved', 'another verb finds the outputs of what is being built');
select is(t.finish('r2'), 'done', 'then its report comes');
select is(t.steps('y2'), '{"1: q built","2: y2 resolved to r2","3: r2 found"}', 'and ends both');

-- A row that another build's failure left stays what it is: an attempt of one's own has its own.
select t.derivation('d');
select t.want('d1', 'd');
select t.want('d2', 'd');
select t.load();
select t.claim('build');
select resolver.fail_steps(jsonb_build_array(t.failure('d', 'unsupported', 3)));
select is(t.steps('d2'), '{"1: d status 3 from d1"}', 'the other build has a row that says whose failure it was');
select t.pass('1 second');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('d2');
select resolver.sync_builds();
select t.load();
select t.claim('build');
select is(t.steps('d2'), '{"1: d status 3 from d1","2: d building"}', 'restarted, it has an attempt of its own');
select t.finish('d');
select is(t.steps('d2'), '{"1: d status 3 from d1","2: d built"}', 'which succeeds');

-- What a derivation resolves to is being looked at by load.
select t.derivation('e');
select t.derivation('f');
select t.derivation('v', '{e}');
select t.derivation('w', '{f}');
select t.want('v', 'v');
select t.want('w', 'w');
select t.load();
select t.claim('build');
select t.finish('e');
select t.finish('f');
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('v', 's')))), 'done', 'one follows it');
select t.claim('build');
select t.fail('s');
select t.pass('1 second');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('v');
select resolver.sync_builds();
select is(t.stage('s'), 'unloaded', 'it failed, and was restarted');
select t.derivation('s');
select is(t.claim('load') @> '{s}', true, 'load has it');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('w', 's')))), 'done', 'then another one comes to follow it');
select is(t.stage('s') || ' ' || t.stage('w'), 'unloaded resolved', 'it is still looked at');
select is_empty('select * from resolver.invariant_violations()', 'under its claim');
select resolver.register_derivations(jsonb_build_array(t.loaded('s')));
select is(t.stage('s'), 'buildable', 'then it goes on');
select resolver.register_derivations(jsonb_build_array(t.loaded('v')));
select t.claim('build');
select t.finish('s');

-- Another program finds the outputs of what is claimed.
select t.derivation('g');
select t.want('g', 'g');
select t.load();
select t.finish('g');
select resolver.invalidate_paths(array[t.path('g')]);
select t.store_loses(t.path('g'));
select t.want('g2', 'g');
select is(t.claim('load'), '{g}', 'load looks for them');
select is(resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('g'), 'name', 'out', 'path', t.path('g')))), 1,
          'another program has found them');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('g')))), 'lease_lost', 'the claim ended with that');
select is((select array_agg(l.outcome order by l.lease) from resolver.lease l where l.derivation = t.number('g')), '{done,done,stale}',
          'and those before it as they had ended');
select t.store_has(t.path('g'));
select t.load();
select t.claim('build');
select is(t.ended('g2'), 'status 0 cached', 'and the build as well');

-- A claim that was opened while its worker was found dead is taken back like any other.
select t.derivation('h');
select t.want('h', 'h');
select t.worker('dying');
select is(t.claim('load', 100, 'dying'), '{h}', 'a worker claims');
update resolver.worker set gone_at = resolver.clock() where worker = t.worker_id('dying');
select is(resolver.sweep(), 1, 'and is gone before that: the claim comes back');
select is(t.claim('load'), '{h}', 'to another one');
select resolver.register_derivations(jsonb_build_array(t.loaded('h')));

-- A report of another verb than the claim is for.
select t.derivation('i');
select t.derivation('j', '{i}');
select t.derivation('k');
select t.want('i', 'i');
select t.want('j', 'j');
select t.load();
select t.finish('i');
select t.want('k', 'k');
select t.claim('resolve');
select t.claim('load');
select t.derivation('l');
select t.want('l', 'l');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('l')));
select t.claim('build');
select t.keep();
select is((select array_agg(outcome) from resolver.finish_steps(jsonb_build_array(
              '{"outputs": {"out": "x"}}' || jsonb_build_object('lease', t.lease('k', 'load')),
              '{"outputs": {"out": "x"}}' || jsonb_build_object('lease', t.lease('j', 'resolve'))))),
          '{refused,refused}', 'what is being loaded or resolved is not finished');
select is((select array_agg(outcome) from resolver.fail_steps(jsonb_build_array(
              '{"class": "timeout", "status": 7}' || jsonb_build_object('lease', t.lease('k', 'load')),
              '{"class": "timeout", "status": 7}' || jsonb_build_object('lease', t.lease('j', 'resolve'))))),
          '{refused,refused}', 'and does not fail so');
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(
              '{"resolved": null, "samples": []}' || jsonb_build_object('lease', t.lease('k', 'load')),
              '{"resolved": null, "samples": []}' || jsonb_build_object('lease', t.lease('l', 'build'))))),
          '{refused,refused}', 'what is being loaded or built is not resolved');
select is((select array_agg(outcome) from resolver.register_derivations(jsonb_build_array(
              t.loaded('j') || jsonb_build_object('lease', t.lease('j', 'resolve')),
              t.loaded('l') || jsonb_build_object('lease', t.lease('l', 'build'))))),
          '{refused,refused}', 'what is being resolved or built is not loaded');
select is(t.changed(), '{}', 'nothing changes');

-- Attempts for two builds that are taken back, one after the other: each build has one row of it, whatever was forgotten meanwhile.
select t.worker();
select t.derivation('m');
select t.want('m1', 'm');
select t.load();
select t.claim('build');
select resolver.report_dead_workers(array[t.worker_id()]);
select t.worker();
select t.want('m2', 'm');
select resolver.cancel_build(t.id('m1'));
select t.load(), t.claim('build');
select resolver.report_dead_workers(array[t.worker_id()]);
select t.worker();
select is(t.steps('m1') || t.steps('m2'), '{"1: m status 3","1: m status 3"}', 'two attempts that were cut short');
select t.pass('100 days');
select resolver.prune('90 days');
select t.pass('1 second');
select resolver.restart_build(t.id('m1'));
select resolver.cancel_build(t.id('m2'));
select t.load(), t.claim('build');
select is(t.steps('m1') || t.steps('m2'), '{"1: m building","1: m status 3"}', 'the row of the build that is restarted is taken up');
select t.finish('m');
select is(t.steps('m1'), '{"1: m built"}', 'there is no second one');
select t.pass('1 second');
select resolver.restart_build(t.id('m2'));
select t.load();
select is_empty($$select from resolver.interrupted_step i where i.drv = t.drv('m') and i.build = t.id('m1')$$, 'and it is not taken up again');

select * from t.done();
rollback;
