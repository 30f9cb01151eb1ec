-- heartbeat(worker): records a sign of life, and returns the leases to abort.
\ir include/farm.sql

select function_returns('resolver', 'heartbeat', array['integer'], 'setof bigint', 'the function returns leases');
select throws_ok('select resolver.heartbeat(0)', 'NX016', 'the worker is not registered', 'an unknown worker is refused');

select t.pass('10 seconds');
select is_empty('select resolver.heartbeat(t.worker_id())', 'no lease is to be aborted');
select is((select heartbeat from resolver.worker where worker = t.worker_id()), resolver.clock(),
          'the worker has the time of its heartbeat');

select t.derivation('a');
select t.derivation('b', '{a}');
select t.want('b', 'b');
select t.want('b2', 'b');
select t.load();
select t.claim('build');
select is_empty('select resolver.heartbeat(t.worker_id())', 'a wanted build goes on');
select resolver.cancel_build(t.id('b'));
select is_empty('select resolver.heartbeat(t.worker_id())', 'if one of two builds is cancelled, the step goes on for the other');
select resolver.cancel_build(t.id('b2'));
select results_eq('select resolver.heartbeat(t.worker_id())', $$values (t.lease('a', 'build'))$$,
                  'if no build needs the step, the lease is to be aborted');
select t.worker('other');
select is_empty($$select resolver.heartbeat(t.worker_id('other'))$$, 'another worker does not get the lease');
select resolver.release_claims(t.worker_id(), array[t.lease('a', 'build')], 'nobody needs it');
select is(t.steps('b'), '{1: a status 3}', 'the row shows the aborted step');
select is(t.claim('build'), '{}', 'the derivation is not tried again');

select t.derivation('c');
select t.want('c', 'c');
select resolver.sync_builds();
select t.claim('load');
select resolver.cancel_build(t.id('c'));
select is_empty('select resolver.heartbeat(t.worker_id())', 'claims for load and resolve are short, and are never aborted');
select resolver.register_derivations(jsonb_build_array(t.loaded('c')));

-- A resolved derivation is needed by its followers.
select t.want('b3', 'b');
select t.load();
select t.finish('a');
select t.resolve('b', 'r-b');
select t.claim('build');
select is_empty('select resolver.heartbeat(t.worker_id())', 'a follower needs its resolved derivation');
select t.finish('r-b');

select resolver.deregister_worker(t.worker_id('other'));
select throws_ok($$select resolver.heartbeat(t.worker_id('other'))$$, 'NX016', 'the worker is not registered',
                 'a worker that has left is refused');

select * from t.done();
rollback;
