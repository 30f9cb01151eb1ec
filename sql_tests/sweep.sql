-- sweep(): revokes the claims of dead workers, and claims past their deadline.
\ir include/farm.sql

select function_returns('resolver', 'sweep', array[]::text[], 'integer', 'the function returns the number of revoked claims');
select t.keep();
select is(resolver.sweep(), 0, 'no claim is revoked while all workers live');
select is(t.changed(), '{}', 'the call changes nothing');

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
select is(resolver.sweep(), 0, 'a worker that was silent for the lease time is alive');
select is(t.changed(), '{}', 'the call changes nothing');
select t.pass('1 second');
select is(resolver.sweep(), 3, 'a worker that was silent for longer is dead: its claims are revoked');
select isnt((select gone_at from resolver.worker where worker = t.worker_id()), null, 'the worker is gone');
select is(t.stage('a') || ' ' || t.stage('b') || ' ' || t.stage('d'), 'buildable unloaded resolvable',
          'building -> buildable; the other stages stay');
select is((select array_agg(distinct outcome) from resolver.lease where closed_at = resolver.clock()), '{swept}', 'the leases are closed as swept');
select results_eq($$select status, busy, errorMsg, stopTime from BuildSteps where build = t.id('a')$$,
                  $$select 3, 0, 'the worker did not answer any more', resolver.hydra_time(resolver.clock())$$, 'the busy row gets status 3');
select t.keep();
select is(resolver.sweep(), 0, 'a second call revokes nothing');
select is(t.changed(), '{}', 'the second call changes nothing');
select throws_ok('select resolver.heartbeat(t.worker_id())', 'NX016', 'the worker is not registered',
                 'the heartbeat of a dead worker raises an error');
select throws_ok($$select * from resolver.claim_derivations(t.worker_id(), 'build', 1)$$, 'NX016', 'the worker is not registered',
                 'a claim of a dead worker raises an error');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('a')))), 'lease_lost',
          'a late report of a build is refused');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('d', 'r-d')))), 'lease_lost',
          'a late report of resolve is refused');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b')))), 'lease_lost',
          'a late report of load is refused');
select is(t.changed(), '{}', 'the refused reports change nothing');

select t.worker('next');
select is(t.claim('build', 100, 'next'), '{a}', 'another worker gets the derivation');
select is(t.steps('a'), '{1: a building}', 'the new attempt uses the same row');
select is(t.claim('load', 100, 'next'), '{b}', 'another worker gets the derivation for load');
select is(t.claim('resolve', 100, 'next'), '{d}', 'another worker gets the derivation for resolve');
select t.finish('a');
select resolver.register_derivations(jsonb_build_array(t.loaded('b')));

-- A live worker that hangs.
select resolver.heartbeat(t.worker_id('next'));
select t.claim('build', 100, 'next');
select t.pass('30 seconds');
select resolver.heartbeat(t.worker_id('next')) from generate_series(1, 1);
select is(resolver.sweep(), 0, 'a claim for resolve has ten minutes');
select t.at(resolver.clock() + interval '10 minutes');
select resolver.heartbeat(t.worker_id('next'));
select is(resolver.sweep(), 1, 'after ten minutes the claim is revoked, even if the worker lives');
select is((select outcome from resolver.lease where lease = t.lease('d', 'resolve')), 'swept', 'the lease of resolve is closed as swept');
select is(t.stage('b') || ' ' || t.steps('b')::text, 'building {"1: b building"}', 'a claim for build has no deadline: Nix has one');
select is((select gone_at from resolver.worker where worker = t.worker_id('next')), null, 'the worker stays registered');

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
select resolver.invalidate_paths(array[t.path('e')]);
select t.store_loses(t.path('e'));
select t.pass('2 minutes');
select resolver.heartbeat(t.worker_id('next'));
select is(resolver.sweep(), 1, 'the worker died, and an input of its build was lost');
select is(t.stage('f') || ' ' || t.watches('f'), 'waiting e', 'building -> waiting');

-- Busy rows without a claim: left by an earlier program, or by a deletion that was rolled back.
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
select isnt_empty('select * from resolver.check_busy', 'check_busy shows a busy row without a claim');
select is(resolver.sweep(), 0, 'no claim is revoked for it');
select is(t.steps('left') || t.steps('done') || t.steps('failed'), array['1: left status 3', '1: done built', '1: failed status 1'],
          'the row ends with the result of its step, or as aborted');
select is((select path from BuildStepOutputs where build = t.id('done')), t.full(t.path('done')), 'the row has its outputs');
select t.keep();
select resolver.sweep();
select is(t.changed(), '{}', 'a second call changes nothing');
select t.claim('build', 100, 'next');

select is((select gone_at from resolver.worker where worker = t.worker_id()), '2026-01-01 12:01:01+00',
          'a dead worker keeps the time at which it was declared dead');

-- The lease time is a setting.
update resolver.setting set lease_time = '5 seconds';
select t.pass('6 seconds');
select is(resolver.sweep(), 3, 'with a shorter lease time, the claims are revoked');
select is((select count(*) from resolver.worker where gone_at is null), 0::bigint, 'all workers are dead');

-- An attempt whose worker died counts: after the second in a row there is a back-off, and after the fifth the derivation fails.
create function pg_temp.die(p_name text) returns text language plpgsql as $$
begin
    perform t.worker('short-lived');
    if t.claim('build', 100, 'short-lived') = '{}' then
        return 'nothing to do';
    end if;
    perform resolver.report_dead_workers(array[t.worker_id('short-lived')]);
    return t.stage(p_name) || coalesce(' in ' || (select (s.not_before - resolver.clock())::text from resolver.derivation_state s
                                                   where s.derivation = t.number(p_name)), '');
end
$$;
select t.worker();
select t.derivation('killer');
select t.want('killer', 'killer');
select t.load();
select is(pg_temp.die('killer'), 'buildable', 'after the first death the derivation can be claimed at once');
select is(pg_temp.die('killer'), 'buildable in 00:01:00', 'after the second death in a row there is a back-off of a minute');
select is(pg_temp.die('killer'), 'nothing to do', 'before that it cannot be claimed');
select t.pass('1 minute');
select is(pg_temp.die('killer'), 'buildable in 00:03:00', 'the next back-off is three minutes');
select t.pass('3 minutes');
select is(pg_temp.die('killer'), 'buildable in 00:09:00', 'the next back-off is nine minutes');
select t.pass('9 minutes');
select is(pg_temp.die('killer'), 'failed', 'the fifth attempt is the last');
select is(t.ended('killer') || ' ' || array_to_string(t.steps('killer'), ','), 'status 3 1: killer status 3', 'the build is aborted, with one row');
select is((select errorMsg from BuildSteps where build = t.id('killer')), 'the worker died', 'the row has the reason');
select t.pass('1 second');
select resolver.restart_build(t.id('killer'));
select t.load();
select t.finish('killer');
select is(t.steps('killer'), '{"1: killer status 3","2: killer built"}', 'after a restart it is tried again, with a new row');

-- The same for load and resolve.
select t.derivation('in');
select t.derivation('deadly', '{in}');
select t.want('deadly', 'deadly');
create function pg_temp.die_of(p_verb text, p_times integer) returns void language plpgsql as $$
begin
    for i in 1..p_times loop
        perform t.worker('short-lived');
        perform t.claim(p_verb, 100, 'short-lived');
        perform resolver.report_dead_workers(array[t.worker_id('short-lived')]);
        perform t.pass('30 minutes');
    end loop;
end
$$;
select pg_temp.die_of('load', 4);
select is(t.stage('deadly'), 'unloaded', 'the derivation stays unloaded after four attempts to load');
select t.worker();
select t.load();
select t.finish('in');
select pg_temp.die_of('resolve', 4);
select is(t.stage('deadly'), 'resolvable', 'a success of load resets the tries');
select pg_temp.die_of('resolve', 1);
select is(t.ended('deadly'), 'status 3', 'five attempts to resolve fail the derivation');
select is(t.steps('deadly'), '{"1: in built","2: deadly status 3"}', 'the build has a row for the failure');

-- A claim of a worker that stops, or loses an answer, is no attempt.
select t.worker();
select t.derivation('free');
select t.want('free', 'free');
select t.load();
select t.claim('build', 100), resolver.release_claims(t.worker_id(), array[t.lease('free', 'build')], 'the worker stops')
  from generate_series(1, 9);
select t.claim('build', 100), resolver.release_other_claims(t.worker_id(), 'build', '{}') from generate_series(1, 9);
select is((select tries from resolver.derivation_state where derivation = t.number('free')), 0::smallint,
          'released claims do not count as attempts');
select t.claim('build', 100);
select resolver.release_claims(t.worker_id(), array[t.lease('free', 'build')], 'inputs are gone', true);
select is((select tries from resolver.derivation_state where derivation = t.number('free')), 1::smallint,
          'a released claim counts if the worker reports an attempt');
select t.claim('build', 100);
select t.finish('free');
select is(t.steps('free'), '{"1: free built"}', 'all attempts use one row');

-- report_dead_workers(): other workers keep their claims.
select t.worker('alive');
select t.derivation('mine');
select t.derivation('theirs');
select t.want('mine', 'mine'), t.want('theirs', 'theirs');
select t.load();
select t.worker('dead');
select t.claim('build', 1, 'dead');
select t.claim('build', 1, 'alive');
select is(resolver.report_dead_workers(array[t.worker_id('dead'), 1000000]), 1,
          'the claims of a dead worker are revoked; an unknown worker has none');
select is((select array_agg(t.named(d.drv)) from resolver.lease l join resolver.derivation d using (derivation) where l.closed_at is null), '{theirs}',
          'a live worker keeps its claims');
select is(resolver.report_dead_workers(array[t.worker_id('dead')]), 0, 'a second call revokes nothing');
select t.finish('theirs');
select t.claim('build', 1, 'alive');
select t.finish('mine');

-- The clock of the database is put back by an hour: no worker counts as alive, and no back-off lasts, for an hour longer.
select t.derivation('paused');
select t.derivation('claimed', '{in}');
select t.want('paused', 'paused');
select t.load();
select t.fail('paused', 'transient', 3);
select t.want('claimed', 'claimed');
select t.load();
select t.claim('resolve', 100, 'alive');
select t.pass('-1 hour');
select resolver.sweep();
select is((select max(heartbeat) from resolver.worker where gone_at is null), resolver.clock(), 'heartbeats are put back');
select is((select not_before - resolver.clock() from resolver.derivation_state where derivation = t.number('paused')), '1 minute'::interval,
          'back-offs are put back');
select is((select deadline - resolver.clock() from resolver.lease where closed_at is null), '10 minutes'::interval, 'deadlines are put back');
select t.pass('61 seconds');
select is(resolver.sweep(), 1, 'a silent worker is dead after the lease time');
select t.worker();
select t.work();
select is(t.ended('claimed') || ', ' || t.ended('paused'), 'status 0, status 0', 'the work goes on');

select * from t.done();
rollback;
