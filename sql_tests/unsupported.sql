-- A derivation that no live worker takes has a reason, waits for a set time, and fails as unsupported.
\ir include/farm.sql

select is((select max_unsupported_time from resolver.setting), interval '1 day', 'the default time is a day');
select t.derivation('m1', p_system => 'mips-linux');
select t.derivation('m2', p_system => 'mips-linux');
select t.derivation('top', '{m1}');
select t.derivation('kvm', p_features => '{kvm,nixos-test}');
select t.derivation('fine');
select t.want('m1', 'm1');
select t.want('top', 'top');
select t.want('m1-again', 'm1');
select t.want('kvm', 'kvm');
select t.want('fine', 'fine');
select t.load();
select is(resolver.blocking_derivations(t.number('top')) ->> 'reason', 'no worker builds for mips-linux', 'the reason is shown at once');
select resolver.sweep();
select results_eq(
    $$select system, features from resolver.machine_type where unsupported_since = resolver.clock() order by system$$,
    $$values ('mips-linux', '{}'::text[]), ('x86_64-linux', '{kvm,nixos-test}'::text[])$$, 'a tick records the begin of the time');
select is(resolver.blocking_derivations(t.number('top')) ->> 'reason', 'no worker builds for mips-linux; fails at 2026-01-02 12:00 UTC',
          'then the reason has the end of the time');
select is(resolver.status() #>> '{unsupported,1,reason}', 'no worker for x86_64-linux has the system features kvm, nixos-test',
          'the status has a reason for each machine type');
select is(resolver.status() #>> '{unsupported,0,limit_seconds}', '86400.000000', 'the status has the limit');

-- A worker comes and goes.
select t.pass('23 hours');
select resolver.heartbeat(t.worker_id());
select t.worker('kvm', '{x86_64-linux}', '{kvm,nixos-test}');
select resolver.sweep();
select is((select count(*) from resolver.machine_type where unsupported_since is not null), 1::bigint,
          'if a worker takes the machine type, the time ends');
select resolver.deregister_worker(t.worker_id('kvm'));
select resolver.sweep();
select t.pass('59 minutes');
select resolver.heartbeat(t.worker_id());
select t.want('m2', 'm2');
select t.load();
select t.keep();
select resolver.sweep();
select is(t.changed(), '{}', 'before the time is over, nothing changes');

select t.pass('1 minute');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(t.stage('m1'), 'failed', 'buildable -> failed');
select is(array[t.ended('m1'), t.ended('m1-again'), t.ended('top')], '{status 9,status 9,status 2}', 'builds that need the derivation end');
select is(t.steps('m1'), '{1: m1 status 9}', 'the first build has the step');
select is(t.steps('top'), '{1: m1 status 9 from m1}', 'every other build has a row with the same status');
select is(t.steps('m1-again'), '{1: m1 status 9 from m1}', 'another build of the same derivation has a row, too');
select results_eq($$select busy, type, errorMsg from BuildSteps where build = t.id('m1')$$, $$values (0, 0, 'no worker builds for mips-linux')$$,
                  'the row has the reason');
select is((select class from resolver.failure where derivation = t.number('m1')), 'unsupported', 'the failure has class unsupported');
select is(array[t.ended('m2'), t.ended('kvm'), t.ended('fine')], '{unfinished,unfinished,unfinished}',
          'a later build has its own time, and so has a derivation that a worker took in between');
select is(t.claim('build'), '{fine}', 'derivations that can be built are not touched');
select t.finish('fine');

-- The other derivations, when their time is over.
select t.pass('23 hours');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(array[t.ended('m2'), t.ended('kvm')], '{unfinished,status 9}', 'a derivation fails a day after its worker left');
select t.pass('1 hour');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(t.ended('m2'), 'status 9', 'a derivation fails a day after its build was added');
select resolver.sweep();
select is((select count(*) from resolver.machine_type where unsupported_since is not null), 0::bigint,
          'no machine type is waiting any more');

-- The failure is not cached.
select t.want('m1-later', 'm1');
select t.load();
select is(t.stage('m1'), 'buildable', 'a later build tries the derivation again');
select t.worker('mips', '{mips-linux}');
select is(t.claim('build', 9, 'mips'), '{m1}', 'a worker may take it then');
select t.finish('m1');
select resolver.deregister_worker(t.worker_id('mips'));

-- Settings.
select t.derivation('m3', p_system => 'mips-linux');
select t.want('m3', 'm3');
select t.load();
update resolver.setting set max_unsupported_time = null;
select resolver.sweep();
select t.pass('1 year');
select t.worker();
select resolver.sweep();
select is(t.ended('m3'), 'unfinished', 'null: the derivation waits without a limit');
select is(resolver.blocking_derivations(t.number('m3')) ->> 'reason', 'no worker builds for mips-linux', 'the reason has no end of the time');
update resolver.setting set max_unsupported_time = '0';
select resolver.sweep();
select is(t.ended('m3'), 'status 9', '0: the derivation fails at the next tick');

-- The derivation of a cancelled build does not fail, and a tick fails twenty derivations at a time.
update resolver.setting set max_unsupported_time = '1 minute';
select t.derivation('c' || n, p_system => 'mips-linux') from generate_series(1, 30) n;
select t.build('c' || n, 'c' || n) from generate_series(1, 30) n;
select resolver.sync_builds();
select t.load();
select resolver.cancel_build(t.id('c1'));
select resolver.sweep();
select t.pass('1 minute');
select t.worker();
select resolver.sweep();
select is((select count(*) from resolver.derivation_state where stage = 'failed'), 20::bigint + 3,
          'a tick fails a part of the derivations');
select resolver.sweep();
select is((select count(*) from resolver.derivation_state where stage = 'failed'), 29::bigint + 3, 'the next tick fails the rest');
select is(t.steps('c1'), '{}', 'the cancelled build has no step');

-- More derivations than a tick fails have not waited long enough, and are first in the queue.
select t.derivation('old', p_system => 'sparc-linux');
select t.want('old', 'old');
select t.load();
select resolver.sweep();
select t.pass('59 seconds');
select t.derivation('n' || n, p_system => 'sparc-linux') from generate_series(1, 30) n;
select t.build('n' || n, 'n' || n) from generate_series(1, 30) n;
update Builds set globalPriority = 1 where finished = 0 and id > t.id('old');
select resolver.sync_builds();
select t.load();
select t.pass('1 second');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(t.ended('old'), 'status 9', 'a derivation that has waited long enough is found behind them');
select is(t.ended('n1'), 'unfinished', 'the others wait on');

-- Its first build has ended, without a new owner yet; the other build was added later.
select t.derivation('shared', p_system => 'alpha-linux');
select t.derivation('broken');
select t.derivation('both', '{shared,broken}');
select t.want('first', 'both', 1);
select t.load();
select resolver.sweep();
select t.pass('59 seconds');
select t.want('second', 'shared');
select t.load();
select t.fail('broken');
select is(array[t.ended('first'), (select owner = t.id('second') from resolver.derivation_state where derivation = t.number('shared'))::text],
          '{status 2,true}', 'the derivation has another owner');
select t.pass('1 second');
select resolver.heartbeat(t.worker_id());
select resolver.sweep() from generate_series(1, 3);
select is(t.ended('n30'), 'status 9', 'the other derivations have waited long enough, and fail in several parts');
select is(t.ended('second'), 'unfinished', 'the time of an ended build does not count for another build');

-- While no worker lives the time does not pass, since no worker could take the derivation.
update resolver.setting set max_unsupported_time = '1 day';
select t.derivation('outage', p_system => 's390x-linux');
select t.derivation('unread');
select t.want('outage', 'outage');
select t.load();
select resolver.sweep();
select t.pass('12 hours');
select resolver.heartbeat(t.worker_id());
select resolver.deregister_worker(t.worker_id());
select t.pass('30 seconds');
select t.worker();
select resolver.sweep();
select is((select resolver.clock() - unsupported_since from resolver.machine_type where system = 's390x-linux'), interval '12 hours 30 seconds',
          'if the worker is restarted, the time goes on');
select t.pass('3 days');
select t.want('unread', 'unread');
select is(resolver.blocking_derivations(t.number('unread')) ->> 'reason', 'no worker loads derivations', 'the reason is shown even without a sweep');
select is(resolver.blocking_derivations(t.number('fine')) ->> 'reason', 'all outputs that are wanted are there',
          'a realised derivation needs no worker');
select resolver.sweep();
select is(t.ended('outage'), 'unfinished', 'while no worker lives, nothing fails');
select t.worker();
select is(resolver.blocking_derivations(t.number('unread')) ->> 'reason', 'waits for a worker to load it', 'a worker has registered');
select resolver.sweep();
select is(t.ended('outage'), 'unfinished', 'the registration fails nothing');
select t.pass('1 day' - interval '1 second');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(t.ended('outage'), 'unfinished', 'before the whole time has passed again, nothing fails');
select t.pass('1 second');
select resolver.sweep();
select is(t.ended('outage'), 'status 9', 'after the whole time the derivation fails');

-- Workers with other verbs.
select t.derivation('plain');
select t.derivation('resolved', '{plain}');
select t.want('resolved', 'resolved');
select t.load();
select t.finish('plain');
select resolver.deregister_worker(t.worker_id());
select resolver.register_worker('other', '{load}', '{x86_64-linux}', '{}', '/nix/store', 'one');
select is(resolver.blocking_derivations(t.number('resolved')) ->> 'reason', 'no worker resolves derivations', 'the reason names the missing verb');
select t.worker();
select is(resolver.blocking_derivations(t.number('resolved')) ->> 'reason', 'waits for a worker to resolve it', 'a worker for the verb has registered');
select t.work();

select * from t.done();
rollback;
