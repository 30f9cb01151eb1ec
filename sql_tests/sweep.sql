-- sweep(): takes back what dead workers held, and what outlived its deadline.
\ir include/farm.sql

select function_returns('resolver', 'sweep', array[]::text[], 'integer', 'it tells how many claims were taken back');
select t.keep();
select is(resolver.sweep(), 0, 'all are well');
select is(t.changed(), '{}', 'nothing changes');

select t.derivation('a');
select t.derivation('b');
select t.derivation('c');
select t.derivation('d', '{c}');
select t.want('d', 'd');
select t.load();
select t.finish('c');
select t.want('a', 'a');
select t.load();
select t.claim('build');
select t.claim('resolve');
select t.want('b', 'b');
select t.claim('load');
select t.pass('60 seconds');
select t.keep();
select is(resolver.sweep(), 0, 'a worker that was silent for no longer than the lease time is alive');
select is(t.changed(), '{}', 'nothing changes');
select t.pass('1 second');
select is(resolver.sweep(), 3, 'one that was silent for longer is dead: its claims are taken back');
select isnt((select gone from resolver.worker where worker = t.worker_id()), null, 'the worker is gone');
select is(t.stage('a') || ' ' || t.stage('b') || ' ' || t.stage('d'), 'buildable unloaded resolvable', 'building -> buildable; the others stay');
select is((select array_agg(distinct outcome) from resolver.lease where closed = resolver.clock()), '{swept}', 'the leases are closed as swept');
select results_eq($$select status, busy, errorMsg, stopTime from BuildSteps where build = t.id('a')$$,
                  $$select 3, 0, 'the worker did not answer any more', resolver.hydra_time(resolver.clock())$$, 'the busy row gets status 3');
select t.keep();
select is(resolver.sweep(), 0, 'swept once');
select is(t.changed(), '{}', 'nothing changes the second time');
select throws_ok('select resolver.heartbeat(t.worker_id())', 'NX016', 'the worker is not registered', 'the worker learns of it');
select throws_ok($$select * from resolver.claim_derivations(t.worker_id(), 'build', 1)$$, 'NX016', 'the worker is not registered', 'in any way');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('a')))), 'lease_lost', 'its report comes too late');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('d', 'r-d')))), 'lease_lost', 'so does this');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b')))), 'lease_lost', 'and this');
select is(t.changed(), '{}', 'and nothing changes by them');

select t.worker('next');
select is(t.claim('build', 100, 'next'), '{a}', 'another worker gets it');
select is(t.steps('a'), '{1: a building}', 'and takes the row over: there is no second one');
select is(t.claim('load', 100, 'next'), '{b}', 'load');
select is(t.claim('resolve', 100, 'next'), '{d}', 'resolve');
select t.finish('a');
select resolver.register_derivations(jsonb_build_array(t.loaded('b')));

-- A living worker that hangs.
select resolver.heartbeat(t.worker_id('next'));
select t.claim('build', 100, 'next');
select t.pass('30 seconds');
select resolver.heartbeat(t.worker_id('next')) from generate_series(1, 1);
select is(resolver.sweep(), 0, 'a claim for resolve has ten minutes');
select t.at(resolver.clock() + interval '10 minutes');
select resolver.heartbeat(t.worker_id('next'));
select is(resolver.sweep(), 1, 'then it is taken back, though the worker lives');
select is((select outcome from resolver.lease where lease = t.lease('d', 'resolve')), 'swept', 'that one');
select is(t.stage('b') || ' ' || t.steps('b')::text, 'building {"1: b building"}', 'a build has no such limit: Nix has one');
select is((select gone from resolver.worker where worker = t.worker_id('next')), null, 'the worker stays');

-- An input was lost meanwhile.
select t.derivation('e');
select t.derivation('f', '{e}', 'input-addressed');
select t.want('f', 'f');
select t.worker('third');
select t.claim('load', 100, 'third');
select resolver.register_derivations(jsonb_build_array(t.loaded('f')));
select t.claim('load', 100, 'third');
select resolver.register_derivations(jsonb_build_array(t.loaded('e')));
select t.claim('build', 100, 'third');
select t.finish('e');
select t.claim('build', 100, 'third');
select resolver.withdraw_outputs(array[t.path('e')]);
select t.store_loses(t.path('e'));
select t.pass('2 minutes');
select resolver.heartbeat(t.worker_id('next'));
select is(resolver.sweep(), 1, 'the worker died, and an input of its build was lost');
select is(t.stage('f') || ' ' || t.watches('f'), 'waiting e', 'building -> waiting');

-- Busy rows without a claim: left by a program that ran before, or by a deletion that was undone.
select t.derivation('left');
select t.derivation('done');
select t.derivation('failed');
select t.want(n, n) from unnest('{left,done,failed}'::text[]) n;
select t.claim('load', 100, 'next');
select resolver.register_derivations((select jsonb_agg(t.loaded(n)) from unnest('{left,done,failed}'::text[]) n));
select t.claim('build', 100, 'next');
select t.finish('done');
select t.fail('failed');
select resolver.release_claims(t.worker_id('next'), array[t.lease('left', 'build')], 'test');
update BuildSteps set busy = 30, status = null, stopTime = null where build in (t.id('left'), t.id('done'), t.id('failed'));
update BuildStepOutputs set path = null where build = t.id('done');
select isnt_empty('select * from resolver.check_busy', 'a busy row that no claim stands behind is wrong');
select is(resolver.sweep(), 0, 'no claim is taken back for it');
select is(t.steps('left') || t.steps('done') || t.steps('failed'), array['1: left status 3', '1: done built', '1: failed status 1'],
          'but it is ended: as what the step was, or as aborted');
select is((select path from BuildStepOutputs where build = t.id('done')), t.full(t.path('done')), 'with its outputs');
select t.keep();
select resolver.sweep();
select is(t.changed(), '{}', 'once');
select t.claim('build', 100, 'next');

select is((select gone from resolver.worker where worker = t.worker_id()), '2026-01-01 12:01:01+00', 'who is dead stays dead since when it was found');

-- The lease time is a setting.
update resolver.setting set lease_time = '5 seconds';
select t.pass('6 seconds');
select is(resolver.sweep(), 3, 'a shorter lease time');
select is((select count(*) from resolver.worker where gone is null), 0::bigint, 'finds all dead');

select * from t.done();
rollback;
