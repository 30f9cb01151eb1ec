-- Claims whose derivations move on without their reports, and attempts that were cut short. Races: isolation/specs/claim_*.
\ir include/farm.sql

select lives_ok($$select resolver.failpoint('anything')$$, 'a failpoint does nothing');
select has_function('resolver', 'close_leases_of', array['bigint[]'], 'close_leases_of() exists');

-- If a worker dies after Nix has finished its build, the next attempt finds the outputs, and ends the same row as a success.
select t.derivation('a');
select t.want('a', 'a');
select t.want('a2', 'a');
select t.load();
select t.claim('build');
select t.pass('2 minutes');
select resolver.sweep();
select t.worker('next');
select t.pass('1 minute');
select is(t.claim('build', 1, 'next'), '{a}', 'the derivation is claimed again');
select results_eq($$select stepnr, busy, status, errorMsg, machine, startTime, stopTime from BuildSteps$$,
                  $$select 1, 30, null::integer, null, 'localhost', resolver.hydra_time(resolver.clock()), null::integer$$,
                  'the row has the values of a new attempt');
select t.pass('1 second');
select resolver.finish_steps(jsonb_build_array(t.success('a') || '{"log": null, "times_built": 1}'));
select results_eq($$select stepnr, busy, status, errorMsg, machine, stopTime - startTime from BuildSteps$$,
                  $$values (1, 0, 0, null, 'here', 1)$$, 'the row has the values of a successful attempt');
select is(t.ended('a') || ', ' || t.ended('a2'), 'status 0, status 0 cached', 'the derivation was built on the account of its build');
select is((select count(*) from resolver.realisation where build = t.id('a') and stepnr = 1 and source = 'built'), 1::bigint,
          'the trace has the output as built');
select t.worker();

-- Meanwhile another derivation resolves to it, and the worker that resolves finds the outputs in the store. A derivation that was being
-- built does not count as found: it gets the row of its attempt, and is no early cut-off.
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
select is(t.stage('r'), 'building', 'the resolved derivation is being built');
select resolver.release_claims(w.worker, array[t.lease('r', 'build')], 'the power went out') from resolver.worker w where gone_at is null;
select t.ensure_claimed('c', 'build');
select t.finish('c');
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(jsonb_set(
              t.resolution('y', 'r'), '{resolved,outputs}', jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r'), 'valid', true)))))),
          'done', 'another verb finds its outputs valid');
select is(t.stage('r') || ' ' || t.stage('x') || ' ' || t.stage('y'), 'buildable resolved resolved', 'the attempt still has to end');
select t.claim('build');
select t.finish('r');
select is(t.steps('x'), '{"1: b built","2: x resolved to r","3: r built"}', 'the attempt ends as the same step');
select is(t.ended('x') || ', ' || t.ended('y'), 'status 0, status 0 cached', 'the attempt is on the account of its build');

-- The same while it is being built: only its own report ends the attempt.
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
select is(t.stage('r2') || ' ' || t.stage('x2') || ' ' || t.stage('y2'), 'building resolved resolved',
          'another verb finds the outputs of a derivation that is being built');
select is(t.finish('r2'), 'done', 'then the report of the build arrives');
select is(t.steps('y2'), '{"1: q built","2: y2 resolved to r2","3: r2 found"}', 'the report ends both followers');

-- A row of another build's failure stays as it is: an attempt of the build itself has its own row.
select t.derivation('d');
select t.want('d1', 'd');
select t.want('d2', 'd');
select t.load();
select t.claim('build');
select resolver.fail_steps(jsonb_build_array(t.failure('d', 'unsupported', 3)));
select is(t.steps('d2'), '{"1: d status 3 from d1"}', 'the other build has a row that names the build that failed');
select t.pass('1 second');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('d2');
select resolver.sync_builds();
select t.load();
select t.claim('build');
select is(t.steps('d2'), '{"1: d status 3 from d1","2: d building"}', 'after a restart, the build has its own attempt');
select t.finish('d');
select is(t.steps('d2'), '{"1: d status 3 from d1","2: d built"}', 'the attempt succeeds');

-- The resolved derivation is claimed for load.
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
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('v', 's')))), 'done', 'a derivation follows it');
select t.claim('build');
select t.fail('s');
select t.pass('1 second');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('v');
select resolver.sync_builds();
select is(t.stage('s'), 'unloaded', 'the resolved derivation failed, and was restarted');
select t.derivation('s');
select is(t.claim('load') @> '{s}', true, 'load claims the resolved derivation');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('w', 's')))), 'done',
          'then another derivation follows the resolved derivation');
select is(t.stage('s') || ' ' || t.stage('w'), 'unloaded resolved', 'the resolved derivation is still unloaded');
select is_empty('select * from resolver.invariant_violations()', 'no invariant is broken while load has its claim');
select resolver.register_derivations(jsonb_build_array(t.loaded('s')));
select is(t.stage('s'), 'buildable', 'after the report of load, the resolved derivation can be built');
select resolver.register_derivations(jsonb_build_array(t.loaded('v')));
select t.claim('build');
select t.finish('s');

-- Another program finds the outputs of a claimed derivation.
select t.derivation('g');
select t.want('g', 'g');
select t.load();
select t.finish('g');
select resolver.invalidate_paths(array[t.path('g')]);
select t.store_loses(t.path('g'));
select t.want('g2', 'g');
select is(t.claim('load'), '{g}', 'load claims the derivation');
select is(resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('g'), 'name', 'out', 'path', t.path('g')))), 1,
          'another program registers the output');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('g')))), 'lease_lost', 'the claim is revoked');
select is((select array_agg(l.outcome order by l.lease) from resolver.lease l where l.derivation = t.number('g')), '{done,done,stale}',
          'earlier claims keep their outcomes');
select t.store_has(t.path('g'));
select t.load();
select t.claim('build');
select is(t.ended('g2'), 'status 0 cached', 'the build ends');

-- A claim that was opened while sweep() declared its worker dead is revoked like any other.
select t.derivation('h');
select t.want('h', 'h');
select t.worker('dying');
select is(t.claim('load', 100, 'dying'), '{h}', 'a worker claims a derivation');
update resolver.worker set gone_at = resolver.clock() where worker = t.worker_id('dying');
select is(resolver.sweep(), 1, 'the worker was declared dead before that, and sweep() revokes the claim');
select is(t.claim('load'), '{h}', 'another worker gets the derivation');
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
          '{refused,refused}', 'a report of a build is refused for a claim for load or resolve');
select is((select array_agg(outcome) from resolver.fail_steps(jsonb_build_array(
              '{"class": "timeout", "status": 7}' || jsonb_build_object('lease', t.lease('k', 'load')),
              '{"class": "timeout", "status": 7}' || jsonb_build_object('lease', t.lease('j', 'resolve'))))),
          '{refused,refused}', 'a failure of a build is refused for a claim for load or resolve');
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(
              '{"resolved": null, "samples": []}' || jsonb_build_object('lease', t.lease('k', 'load')),
              '{"resolved": null, "samples": []}' || jsonb_build_object('lease', t.lease('l', 'build'))))),
          '{refused,refused}', 'a resolution is refused for a claim for load or build');
select is((select array_agg(outcome) from resolver.register_derivations(jsonb_build_array(
              t.loaded('j') || jsonb_build_object('lease', t.lease('j', 'resolve')),
              t.loaded('l') || jsonb_build_object('lease', t.lease('l', 'build'))))),
          '{refused,refused}', 'a report of load is refused for a claim for resolve or build');
select is(t.changed(), '{}', 'the refused reports change nothing');

-- Attempts for two builds are revoked, one after the other: each build has one row, even if rows were pruned meanwhile.
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
select is(t.steps('m1') || t.steps('m2'), '{"1: m status 3","1: m status 3"}', 'both builds have the row of a revoked attempt');
select t.pass('100 days');
select resolver.prune('90 days');
select t.pass('1 second');
select resolver.restart_build(t.id('m1'));
select resolver.cancel_build(t.id('m2'));
select t.load(), t.claim('build');
select is(t.steps('m1') || t.steps('m2'), '{"1: m building","1: m status 3"}', 'the row of the restarted build is used again');
select t.finish('m');
select is(t.steps('m1'), '{"1: m built"}', 'the build has no second row');
select t.pass('1 second');
select resolver.restart_build(t.id('m2'));
select t.load();
select is_empty($$select from resolver.interrupted_step i where i.drv = t.drv('m') and i.build = t.id('m1')$$, 'the row is not used again');

select * from t.done();
rollback;
