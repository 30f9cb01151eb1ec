-- heartbeat(worker): a sign of life, and what to abort.
\ir include/farm.sql

select function_returns('resolver', 'heartbeat', array['integer'], 'setof bigint', 'it answers with leases');
select throws_ok('select resolver.heartbeat(0)', 'NX016', 'the worker is not registered', 'an unknown worker');

select t.pass('10 seconds');
select is_empty('select resolver.heartbeat(t.worker_id())', 'nothing to abort');
select is((select heartbeat from resolver.worker where worker = t.worker_id()), resolver.clock(), 'the time of it is noted');

select t.derivation('a');
select t.derivation('b', '{a}');
select t.want('b', 'b');
select t.want('b2', 'b');
select t.load();
select t.claim('build');
select is_empty('select resolver.heartbeat(t.worker_id())', 'the build that is wanted goes on');
select resolver.cancel_build(t.id('b'));
select is_empty('select resolver.heartbeat(t.worker_id())', 'one of two builds was cancelled: the other needs it');
select resolver.cancel_build(t.id('b2'));
select results_eq('select resolver.heartbeat(t.worker_id())', $$values (t.lease('a', 'build'))$$,
                  'nobody needs it any more: the lease is to be aborted');
select t.worker('other');
select is_empty($$select resolver.heartbeat(t.worker_id('other'))$$, 'but not by another worker');
select resolver.release_claims(t.worker_id(), array[t.lease('a', 'build')], 'nobody needs it');
select is(t.steps('b'), '{1: a status 3}', 'aborted, its row says so');
select is(t.claim('build'), '{}', 'and it is not tried again');

select t.derivation('c');
select t.want('c', 'c');
select resolver.sync_builds();
select t.claim('load');
select resolver.cancel_build(t.id('c'));
select is_empty('select resolver.heartbeat(t.worker_id())', 'claims for load and resolve are never aborted: they are short');
select resolver.register_derivations(jsonb_build_array(t.loaded('c')));

-- A resolution is needed by those that follow it.
select t.want('b3', 'b');
select t.load();
select t.finish('a');
select t.resolve('b', 'r-b');
select t.claim('build');
select is_empty('select resolver.heartbeat(t.worker_id())', 'a resolution is needed by what follows it');
select t.finish('r-b');

select resolver.deregister_worker(t.worker_id('other'));
select throws_ok($$select resolver.heartbeat(t.worker_id('other'))$$, 'NX016', 'the worker is not registered', 'a worker that has left');

select * from t.done();
rollback;
