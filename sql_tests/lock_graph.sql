-- lock_graph(): one writer of the graph at a time. Older snapshots, and waiting: isolation/specs/lock_graph.spec.
\ir include/farm.sql

select volatility_is('resolver', 'lock_graph', array[]::text[], 'volatile', 'a stable function would go on with a snapshot older than the lock');
select is((select 'lock_timeout=5s' = any (proconfig) from pg_proc where oid = 'resolver.lock_graph()'::regprocedure), true,
          'nobody waits for the graph for ever');
select lives_ok('select resolver.lock_graph()', 'it is taken');
select lives_ok('select resolver.lock_graph()', 'and again by who has it');
select is(current_setting('idle_in_transaction_session_timeout'), '5s', 'who stops before the end of the transaction does not stop the farm');
select is((select count(*) from pg_locks where relation = 'resolver.writer'::regclass and mode = 'RowShareLock' and pid = pg_backend_pid()), 1::bigint,
          'it is the lock of a private row');
select is((select count(*) from resolver.writer), 1::bigint, 'of which there is one');

-- Who writes the graph takes it first.
select is(prosrc ~ '\m(lock_graph|process_reports)\M', true, format('%s takes the graph lock', oid::regprocedure))
  from (select oid, prosrc, proname, pronamespace, pronargs from pg_proc order by oid::regprocedure::text offset 0) p
 where pronamespace = 'resolver'::regnamespace
   and (proname, pronargs) <> ('set_resolved_to', 4)
   and proname in ('advance', 'process_reports', 'cancel_build', 'claim_builds', 'dump_status', 'end_builds', 'fail_steps', 'fail_unsupported', 'finish_steps', 'register_derivations',
                   'register_local_outputs', 'register_worker', 'release_claims', 'release_other_claims', 'restart_build', 'set_resolved_to', 'record_step_start', 'sweep',
                   'sync_builds', 'verify_owners', 'invalidate_paths', 'report_dead_workers', 'deregister_worker');

select * from t.done();
rollback;
