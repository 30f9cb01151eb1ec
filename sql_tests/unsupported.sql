-- What no live worker takes: it says so, waits for a set time, and fails as unsupported.
\ir include/farm.sql

select is((select max_unsupported_time from resolver.setting), interval '1 day', 'a day, unless somebody says otherwise');
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
select is(resolver.blocking_derivations(t.number('top')) ->> 'reason', 'no worker builds for mips-linux', 'explained at once');
select resolver.sweep();
select results_eq(
    $$select system, features from resolver.machine_type where unsupported_since = resolver.clock() order by system$$,
    $$values ('mips-linux', '{}'::text[]), ('x86_64-linux', '{kvm,nixos-test}'::text[])$$, 'a tick notes since when');
select is(resolver.blocking_derivations(t.number('top')) ->> 'reason', 'no worker builds for mips-linux; fails at 2026-01-02 12:00 UTC', 'and then says until when');
select is(resolver.status() #>> '{unsupported,1,reason}', 'no worker for x86_64-linux has the system features kvm, nixos-test', 'status tells of each machine type');
select is(resolver.status() #>> '{unsupported,0,limit_seconds}', '86400.000000', 'with the time that there is');

-- A worker comes and goes.
select t.pass('23 hours');
select resolver.heartbeat(t.worker_id());
select t.worker('kvm', '{x86_64-linux}', '{kvm,nixos-test}');
select resolver.sweep();
select is((select count(*) from resolver.machine_type where unsupported_since is not null), 1::bigint, 'a worker that takes it ends the time');
select resolver.deregister_worker(t.worker_id('kvm'));
select resolver.sweep();
select t.pass('59 minutes');
select resolver.heartbeat(t.worker_id());
select t.want('m2', 'm2');
select t.load();
select t.keep();
select resolver.sweep();
select is(t.changed(), '{}', 'nothing happens before the time is over');

select t.pass('1 minute');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(t.stage('m1'), 'failed', 'buildable -> failed');
select is(array[t.ended('m1'), t.ended('m1-again'), t.ended('top')], '{status 9,status 9,status 2}', 'builds that need it end');
select is(t.steps('m1'), '{1: m1 status 9}', 'the first has the step');
select is(t.steps('top'), '{1: m1 status 9 from m1}', 'every other a row with the same status');
select is(t.steps('m1-again'), '{1: m1 status 9 from m1}', 'also another build of the same derivation');
select results_eq($$select busy, type, errorMsg from BuildSteps where build = t.id('m1')$$, $$values (0, 0, 'no worker builds for mips-linux')$$,
                  'the reason is in the row');
select is((select class from resolver.failure where derivation = t.number('m1')), 'unsupported', 'the class');
select is(array[t.ended('m2'), t.ended('kvm'), t.ended('fine')], '{unfinished,unfinished,unfinished}',
          'what was added later has its own time, and so has what a worker took in between');
select is(t.claim('build'), '{fine}', 'what can be built is not touched');
select t.finish('fine');

-- The rest, when its time is over.
select t.pass('23 hours');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(array[t.ended('m2'), t.ended('kvm')], '{unfinished,status 9}', 'a day after its worker left');
select t.pass('1 hour');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(t.ended('m2'), 'status 9', 'a day after it was added');
select resolver.sweep();
select is((select count(*) from resolver.machine_type where unsupported_since is not null), 0::bigint, 'nothing is left that waits');

-- It is not remembered.
select t.want('m1-later', 'm1');
select t.load();
select is(t.stage('m1'), 'buildable', 'a later build tries again');
select t.worker('mips', '{mips-linux}');
select is(t.claim('build', 9, 'mips'), '{m1}', 'and may find a worker');
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
select is(t.ended('m3'), 'unfinished', 'null: it waits for ever');
select is(resolver.blocking_derivations(t.number('m3')) ->> 'reason', 'no worker builds for mips-linux', 'and says nothing of an end');
update resolver.setting set max_unsupported_time = '0';
select resolver.sweep();
select is(t.ended('m3'), 'status 9', '0: it fails at the next tick');

-- A cancelled build's derivation does not fail on anybody's account, and twenty at a time is what a tick does.
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
select is((select count(*) from resolver.derivation_state where stage = 'failed'), 20::bigint + 3, 'a tick does a part');
select resolver.sweep();
select is((select count(*) from resolver.derivation_state where stage = 'failed'), 29::bigint + 3, 'the next one the rest');
select is(t.steps('c1'), '{}', 'the build that was cancelled has no step');

-- More of them than a tick takes have not waited long enough, and are first in the queue.
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
select is(t.ended('old'), 'status 9', 'what has waited long enough is found behind them');
select is(t.ended('n1'), 'unfinished', 'they go on waiting');

-- Its first build has ended, which nobody has told it; the other one was added later.
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
          '{status 2,true}', 'what it owned has another owner');
select t.pass('1 second');
select resolver.heartbeat(t.worker_id());
select resolver.sweep() from generate_series(1, 3);
select is(t.ended('n30'), 'status 9', 'the others have waited long enough now, and are told of in several parts');
select is(t.ended('second'), 'unfinished', 'the time of a build that has ended is not that of the other one');

-- While no worker lives no time passes, since nobody could have taken it.
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
          'a worker that is started again goes on with the time');
select t.pass('3 days');
select t.want('unread', 'unread');
select is(resolver.blocking_derivations(t.number('unread')) ->> 'reason', 'no worker loads derivations', 'explained, though nobody has swept');
select is(resolver.blocking_derivations(t.number('fine')) ->> 'reason', 'all outputs that are wanted are there', 'what is done needs nobody');
select resolver.sweep();
select is(t.ended('outage'), 'unfinished', 'nothing fails while no worker lives');
select t.worker();
select is(resolver.blocking_derivations(t.number('unread')) ->> 'reason', 'waits for a worker to load it', 'a worker has come');
select resolver.sweep();
select is(t.ended('outage'), 'unfinished', 'nor as soon as one does');
select t.pass('1 day' - interval '1 second');
select resolver.heartbeat(t.worker_id());
select resolver.sweep();
select is(t.ended('outage'), 'unfinished', 'nor before the whole time has passed again');
select t.pass('1 second');
select resolver.sweep();
select is(t.ended('outage'), 'status 9', 'but then');

-- Workers that do something else.
select t.derivation('plain');
select t.derivation('resolved', '{plain}');
select t.want('resolved', 'resolved');
select t.load();
select t.finish('plain');
select resolver.deregister_worker(t.worker_id());
select resolver.register_worker('other', '{load}', '{x86_64-linux}', '{}', '/nix/store', 'one');
select is(resolver.blocking_derivations(t.number('resolved')) ->> 'reason', 'no worker resolves derivations', 'explained as well');
select t.worker();
select is(resolver.blocking_derivations(t.number('resolved')) ->> 'reason', 'waits for a worker to resolve it', 'a worker has come');
select t.work();

select * from t.done();
rollback;
