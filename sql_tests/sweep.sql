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
select isnt((select gone_at from resolver.worker where worker = t.worker_id()), null, 'the worker is gone');
select is(t.stage('a') || ' ' || t.stage('b') || ' ' || t.stage('d'), 'buildable unloaded resolvable', 'building -> buildable; the others stay');
select is((select array_agg(distinct outcome) from resolver.lease where closed_at = resolver.clock()), '{swept}', 'the leases are closed as swept');
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
select is((select gone_at from resolver.worker where worker = t.worker_id('next')), null, 'the worker stays');

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

select is((select gone_at from resolver.worker where worker = t.worker_id()), '2026-01-01 12:01:01+00', 'who is dead stays dead since when it was found');

-- The lease time is a setting.
update resolver.setting set lease_time = '5 seconds';
select t.pass('6 seconds');
select is(resolver.sweep(), 3, 'a shorter lease time');
select is((select count(*) from resolver.worker where gone_at is null), 0::bigint, 'finds all dead');

-- An attempt whose worker died counts: the second in a row is followed by a pause, and after the fifth the derivation fails.
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
select is(pg_temp.die('killer'), 'buildable', 'the first time it is given back at once');
select is(pg_temp.die('killer'), 'buildable in 00:01:00', 'the second time in a row after a minute');
select is(pg_temp.die('killer'), 'nothing to do', 'not before');
select t.pass('1 minute');
select is(pg_temp.die('killer'), 'buildable in 00:03:00', 'then after three');
select t.pass('3 minutes');
select is(pg_temp.die('killer'), 'buildable in 00:09:00', 'and nine');
select t.pass('9 minutes');
select is(pg_temp.die('killer'), 'failed', 'the fifth attempt was the last');
select is(t.ended('killer') || ' ' || array_to_string(t.steps('killer'), ','), 'status 3 1: killer status 3', 'the build is aborted, with one row');
select is((select errorMsg from BuildSteps where build = t.id('killer')), 'the worker died', 'which says why');
select t.pass('1 second');
select resolver.restart_build(t.id('killer'));
select t.load();
select t.finish('killer');
select is(t.steps('killer'), '{"1: killer status 3","2: killer built"}', 'after a restart it is tried again, in a row of its own');

-- So it does in load and resolve.
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
select is(t.stage('deadly'), 'unloaded', 'four attempts to load');
select t.worker();
select t.load();
select t.finish('in');
select pg_temp.die_of('resolve', 4);
select is(t.stage('deadly'), 'resolvable', 'that it was loaded in the end has the count begin again');
select pg_temp.die_of('resolve', 1);
select is(t.ended('deadly'), 'status 3', 'five attempts to resolve');
select is(t.steps('deadly'), '{"1: in built","2: deadly status 3"}', 'a row says that');

-- A worker that stops, or loses an answer, has not tried.
select t.worker();
select t.derivation('free');
select t.want('free', 'free');
select t.load();
select t.claim('build', 100), resolver.release_claims(t.worker_id(), array[t.lease('free', 'build')], 'the worker stops')
  from generate_series(1, 9);
select t.claim('build', 100), resolver.release_other_claims(t.worker_id(), 'build', '{}') from generate_series(1, 9);
select is((select tries from resolver.derivation_state where derivation = t.number('free')), 0::smallint, 'claims that were released count as none');
select t.claim('build', 100);
select resolver.release_claims(t.worker_id(), array[t.lease('free', 'build')], 'inputs are gone', true);
select is((select tries from resolver.derivation_state where derivation = t.number('free')), 1::smallint, 'unless the worker says that it has tried');
select t.claim('build', 100);
select t.finish('free');
select is(t.steps('free'), '{"1: free built"}', 'all in one row');

-- report_dead_workers(): others keep what they have.
select t.worker('alive');
select t.derivation('mine');
select t.derivation('theirs');
select t.want('mine', 'mine'), t.want('theirs', 'theirs');
select t.load();
select t.worker('dead');
select t.claim('build', 1, 'dead');
select t.claim('build', 1, 'alive');
select is(resolver.report_dead_workers(array[t.worker_id('dead'), 1000000]), 1, 'what a dead worker had is given back; an unknown one had nothing');
select is((select array_agg(t.named(d.drv)) from resolver.lease l join resolver.derivation d using (derivation) where l.closed_at is null), '{theirs}',
          'a worker that lives keeps what it has');
select is(resolver.report_dead_workers(array[t.worker_id('dead')]), 0, 'once');
select t.finish('theirs');
select t.claim('build', 1, 'alive');
select t.finish('mine');

-- The clock of the database is put back by an hour: nobody counts as alive for an hour longer, and no pause lasts an hour longer.
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
select is((select max(heartbeat) from resolver.worker where gone_at is null), resolver.clock(), 'heartbeats');
select is((select not_before - resolver.clock() from resolver.derivation_state where derivation = t.number('paused')), '1 minute'::interval, 'pauses');
select is((select deadline - resolver.clock() from resolver.lease where closed_at is null), '10 minutes'::interval, 'deadlines');
select t.pass('61 seconds');
select is(resolver.sweep(), 1, 'who is silent is dead after the lease time');
select t.worker();
select t.work();
select is(t.ended('claimed') || ', ' || t.ended('paused'), 'status 0, status 0', 'and work goes on');

select * from t.done();
rollback;
