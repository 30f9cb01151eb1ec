-- deregister_worker(worker), release_claims(worker, leases, reason), release_other_claims(worker, verb, held): claims without a result.
\ir include/farm.sql

create function pg_temp.open() returns text[] language sql as $$
    select coalesce(array_agg(t.named(d.drv) order by l.lease), '{}')
      from resolver.lease l join resolver.derivation d on d.derivation = l.derivation where l.closed_at is null
$$;
select t.derivation(n) from unnest('{a,b,c,d,e,f}'::text[]) n;
select t.want(n, n) from unnest('{a,b,c}'::text[]) n;
select t.load();
select t.want(n, n) from unnest('{d,e,f}'::text[]) n;
select t.claim('build');
select t.claim('load');

-- release_claims.
select t.keep();
select resolver.release_claims(t.worker_id(), '{}', 'nothing');
select resolver.release_claims(t.worker_id(), '{1234567}', 'no such lease');
select t.worker('other');
select t.keep();
select resolver.release_claims(t.worker_id('other'), array[t.lease('a', 'build')], 'not mine');
select is(t.changed(), '{}', 'a worker can release only its own claims');
select resolver.release_claims(t.worker_id(), array[t.lease('a', 'build'), t.lease('d', 'load')], 'the disk is full');
select is(pg_temp.open(), '{b,c,e,f}', 'two claims are released');
select is(t.stage('a') || ' ' || t.stage('d'), 'buildable unloaded', 'building -> buildable; unloaded stays');
select results_eq($$select status, busy, errorMsg from BuildSteps where build = t.id('a')$$, $$values (3, 0, 'the disk is full')$$,
                  'the row has the reason');
select is((select tries from resolver.derivation_state where derivation = t.number('a')), 0::smallint,
          'a released claim does not count as a try');
select t.keep();
select resolver.release_claims(t.worker_id(), array[t.lease('a', 'build')], 'again');
select is(t.changed(), '{}', 'a second call changes nothing');
select is(t.claim('build', 100, 'other'), '{a}', 'another worker gets it at once');
select is(t.claim('load', 100, 'other'), '{d}', 'another worker gets the derivation for load, too');

-- release_other_claims.
select resolver.release_other_claims(t.worker_id(), 'build', array[t.lease('b', 'build')]);
select is(pg_temp.open(), '{b,e,f,a,d}', 'claims with a lost answer are released; held claims, other verbs and other workers stay');
select is(t.stage('c'), 'buildable', 'the derivation can be claimed again');
select resolver.release_other_claims(t.worker_id(), 'load', '{}');
select is(pg_temp.open(), '{b,a,d}', 'if it holds no claim of the verb, all are released');
select t.keep();
select resolver.release_other_claims(t.worker_id(), 'load', '{}');
select is(t.changed(), '{}', 'a second call changes nothing');

-- deregister_worker.
select resolver.deregister_worker(t.worker_id());
select is(pg_temp.open(), '{a,d}', 'if a worker leaves, its open claims are released');
select results_eq($$select status, errorMsg from BuildSteps where build = t.id('b')$$, $$values (3, 'the worker was stopped')$$,
                  'the rows have the reason');
select isnt((select gone_at from resolver.worker where worker = t.worker_id()), null, 'the worker is gone');
select is((select outcome from resolver.finish_steps(jsonb_build_array(t.success('b')))), 'lease_lost', 'a later report is refused');
select t.keep();
select resolver.deregister_worker(t.worker_id());
select resolver.deregister_worker(0);
select is(t.changed(), '{}', 'a second call, or one for an unknown worker, changes nothing');
select is(t.claim('build', 100, 'other'), '{b,c}', 'other workers go on');

select * from t.done();
rollback;
