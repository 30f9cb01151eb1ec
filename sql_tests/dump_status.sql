-- dump_status(), queue_runner_status(): the status of the queue for Hydra's programs, and its end when no worker lives.
\ir include/farm.sql

create function pg_temp.told() returns jsonb language sql as $$
    select status::jsonb from SystemStatus where what = 'queue-runner'
$$;
create function pg_temp.told(p_names text[]) returns jsonb language sql as $$
    select jsonb_object_agg(n, pg_temp.told() -> n) from unnest(p_names) n
$$;

-- One of each: unloaded, waiting, resolvable, resolved, buildable, building, realised, failed.
select t.derivation(n) from unnest('{known,runs,waits,ready,fails,slow}'::text[]) n;
select t.derivation('new', p_features => '{kvm}');
select t.derivation('remote', p_kind => 'input-addressed', p_system => 'm68k-linux', p_features => '{big,kvm}');
select t.derivation('top', '{runs}');
select t.derivation('broken', '{fails}');
select t.pass('10 seconds');
select resolver.register_worker('second', '{build}', '{}', '{}', '/nix/store', 'one', 4,
    '[{"machine": "ssh-ng://a", "systems": ["m68k-linux"], "features": ["big", "kvm"], "mandatory": ["big"]}]');
select t.want(n, n) from unnest('{known,fails,broken,runs,slow,remote}'::text[]) n;
select t.load();
select t.claim('build', 1);
select t.pass('5 seconds');
select t.finish('known');
select t.claim('build', 1);
select t.fail('fails');
select t.claim('build', 1);
select t.claim('build', 1);
select t.pass('2 seconds');
select t.fail('slow', 'transient', 3);
select t.claim('build', 1, 'second');
select t.want('top', 'top');
select t.want('ready', 'ready');
select t.want('kvm', 'new');
select t.load();
select t.want('waits', 'waits');
select t.pass('3 seconds');
select set_eq(
    $$select t.named(d.drv) || ' ' || s.stage from resolver.derivation_state s join resolver.derivation d using (derivation)$$,
    array['known realised', 'fails failed', 'broken waiting', 'runs building', 'slow buildable', 'remote building', 'top waiting',
          'ready buildable', 'new buildable', 'waits unloaded'], 'the test has a derivation in every stage');

select resolver.dump_status();
select is(pg_temp.told('{status,runner,time,uptime}'),
          '{"status": "up", "runner": "hydra-resolver", "time": 1767268820, "uptime": 20}',
          'the runner is up, since the start of the worker that has lived longest');
select is(pg_temp.told('{nrQueuedBuilds,nrBuildsRead,nrBuildsDone}'),
          '{"nrQueuedBuilds": 7, "nrBuildsRead": 10, "nrBuildsDone": 3}', 'the status has the numbers of builds');
select is(pg_temp.told('{nrActiveSteps,nrStepsBuilding,nrStepsWaiting,nrStepsCopyingTo,nrStepsCopyingFrom}'),
          '{"nrActiveSteps": 2, "nrStepsBuilding": 1, "nrStepsWaiting": 1, "nrStepsCopyingTo": 0, "nrStepsCopyingFrom": 0}',
          'a step that waits for a slot is not building yet');
select is(pg_temp.told('{nrRunnableSteps,nrUnfinishedSteps,nrUnsupportedSteps}'),
          '{"nrRunnableSteps": 3, "nrUnfinishedSteps": 7, "nrUnsupportedSteps": 0}',
          'the status has the steps to come, without builds that have ended');
select is(pg_temp.told('{nrStepsDone,nrRetries,maxNrRetries,avgStepTime,avgStepBuildTime}')::text,
          '{"nrRetries": 1, "avgStepTime": 2.333, "nrStepsDone": 3, "maxNrRetries": 1, "avgStepBuildTime": 2.333}',
          'the status has the attempts that have ended');
select is(pg_temp.told('{nrQueueWakeups,bytesSent,bytesReceived}'), '{"nrQueueWakeups": 0, "bytesSent": 0, "bytesReceived": 0}',
          'numbers that do not exist here are 0');
select is(pg_temp.told() -> 'machineTypes',
          '{"x86_64-linux": {"runnable": 2, "running": 1}, "x86_64-linux:kvm": {"runnable": 1, "running": 0},
            "m68k-linux:big,kvm": {"runnable": 0, "running": 1}}', 'machine types are named as Hydra names them');
select is(pg_temp.told() -> 'machines' -> 'ssh-ng://a',
          '{"enabled": true, "systemTypes": ["m68k-linux"], "supportedFeatures": ["kvm"], "mandatoryFeatures": ["big"],
            "currentJobs": 0, "nrStepsDone": 0}', 'the status has the machines');
select is(pg_temp.told() #>> '{machines,localhost,currentJobs}', '1', 'a running step counts for its machine');

-- Steps that no worker takes; derivations that prefer the local machine.
select resolver.fail_unsupported();
select resolver.dump_status();
select is(pg_temp.told() ->> 'nrUnsupportedSteps', '1', 'the status has the steps that no live worker takes');
update resolver.machine_type set prefer_local = true where features = '{kvm}';
select is(resolver.queue_runner_status() -> 'machineTypes' -> 'x86_64-linux:kvm,local', '{"runnable": 1, "running": 0}',
          'derivations that prefer the local machine have their own machine type');

-- There is one row, and every worker writes the same one.
update SystemStatus set status = '{"status": "up", "pid": 7}';
insert into SystemStatus values ('other', '{}');
select resolver.dump_status();
select resolver.dump_status();
select is(pg_temp.told() ->> 'runner', 'hydra-resolver', 'the row replaces the row of Hydra''s queue runner');

-- The row is deleted with the last worker.
select resolver.deregister_worker(t.worker_id('second'));
select isnt(pg_temp.told(), null, 'while a worker lives, the row stays');
select resolver.deregister_worker(t.worker_id());
select is(pg_temp.told(), null, 'when no worker lives, the row is deleted');
select resolver.dump_status();
select is(pg_temp.told(), null, 'if no worker lives, dump_status() writes nothing');
select results_eq('select what from SystemStatus', array['other'], 'the rows of other programs stay');

select t.worker();
select resolver.dump_status();
select t.pass('61 seconds');
select resolver.dump_status();
select is(pg_temp.told(), null, 'if all workers have been silent for too long, the row is deleted');
select is(resolver.queue_runner_status(), '{"status": "down"}', 'if no worker lives, the status is down');

select t.worker('another');
select is(pg_temp.told(), '{"status": "up", "runner": "hydra-resolver"}', 'a new worker writes the row');
update resolver.worker set gone_at = resolver.clock() where name = 'worker';
update SystemStatus set status = '{"status": "up", "pid": 7}' where what = 'queue-runner';
select resolver.deregister_worker(t.worker_id('another'));
select is(pg_temp.told() ->> 'pid', '7', 'the row of Hydra''s queue runner stays');

-- Without the table, which a later Hydra may not have, nothing is written.
drop table SystemStatus;
select lives_ok('select t.worker()', 'without the table, a worker can register');
select lives_ok('select resolver.dump_status()', 'without the table, dump_status() does nothing');
select lives_ok('select resolver.deregister_worker(t.worker_id())', 'without the table, a worker can leave');

select * from t.done();
rollback;
