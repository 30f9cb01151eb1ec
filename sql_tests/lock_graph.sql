-- lock_graph(): one writer of the graph at a time. Older snapshots, and waiting: isolation/specs/lock_graph.spec.
\ir include/farm.sql

select volatility_is('resolver', 'lock_graph', array[]::text[], 'volatile', 'a stable function would go on with a snapshot older than the lock');
select is((select 'lock_timeout=5s' = any (proconfig) from pg_proc where oid = 'resolver.lock_graph()'::regprocedure), true,
          'a caller waits for the graph lock for a limited time');
select lives_ok('select resolver.lock_graph()', 'the lock can be taken');
select lives_ok('select resolver.lock_graph()', 'the session that has the lock can take it again');
select is(current_setting('idle_in_transaction_session_timeout'), '5s',
          'a session that is idle in the transaction is disconnected after 5 s');
select is((select count(*) from pg_locks where relation = 'resolver.writer'::regclass and mode = 'RowShareLock' and pid = pg_backend_pid()), 1::bigint,
          'the lock is that of a row in a private table');
select is((select count(*) from resolver.writer), 1::bigint, 'the table has one row');

-- Every function that writes the graph takes the lock first.
select is(prosrc ~ '\m(lock_graph|process_reports)\M', true, format('%s takes the graph lock', oid::regprocedure))
  from (select oid, prosrc, proname, pronamespace, pronargs from pg_proc order by oid::regprocedure::text offset 0) p
 where pronamespace = 'resolver'::regnamespace
   and (proname, pronargs) <> ('set_resolved_to', 4)
   and proname in ('advance', 'process_reports', 'cancel_build', 'claim_builds', 'dump_status', 'end_builds', 'fail_steps', 'fail_unsupported', 'finish_steps', 'register_derivations',
                   'register_local_outputs', 'register_worker', 'release_claims', 'release_other_claims', 'restart_build', 'set_resolved_to', 'record_step_start', 'sweep',
                   'sync_builds', 'verify_owners', 'invalidate_paths', 'report_dead_workers', 'deregister_worker');

select * from t.done();
rollback;
