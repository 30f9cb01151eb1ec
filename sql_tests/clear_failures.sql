-- clear_failures(): failed derivations are tried again by the next build that wants them.
\ir include/farm.sql

select t.derivation('bad');
select t.derivation('on-bad', '{bad}');
select t.derivation('slow');
select t.want('bad', 'bad');
select t.want('on-bad', 'on-bad');
select t.want('slow', 'slow');
select t.load();
select t.fail('bad');
select t.fail('slow', 'timeout', 7);
select t.pass('1 hour');
select is(resolver.clear_failures(), false, 'one call clears all cached failures');
select is(array[t.stage('bad'), t.stage('on-bad'), t.stage('slow')], '{unloaded,waiting,failed}',
          'failures of the builder become unloaded; other failures stay');
select is_empty('select from resolver.derivation_state where failed_dependency is not null',
                'dependents have no failed dependency any more');
select results_eq('select class, cleared_at = resolver.clock() from resolver.failure order by failure',
                  $$values ('builder', true), ('timeout', null)$$, 'the failure is recorded as cleared');
select is(array[t.ended('bad'), t.ended('on-bad'), t.ended('slow')], '{status 1,status 2,status 7}', 'builds stay as they ended');
select t.pass('1 minute');
select is(array[resolver.advance(), resolver.sync_builds()], '{f,f}', 'builds that have ended are not opened again');
select is(t.claim('load') || t.claim('build'), '{}', 'no work starts for them');
select t.want('later', 'on-bad');
select t.load();
select is(t.claim('build'), '{bad}', 'if a later build wants the derivation, it is tried again');
select t.finish('bad');
select t.work();
select is(t.ended('later'), 'status 0', 'the later build succeeds');
select t.keep();
select is(resolver.clear_failures(), false, 'a second call finds nothing');
select is(t.changed(), '{}', 'a second call changes nothing');

-- A build that is unfinished still needs something else that fails.
select t.derivation('x');
select t.derivation('y');
select t.derivation('z', '{x,y}');
select t.want('x', 'x');
select t.want('z', 'z');
select t.load();
select t.claim('build');
select t.fail('x');
select resolver.clear_failures();
select t.finish('y');
select is(t.ended('z'), 'status 2', 'a build that has ended stays ended');
select t.want('z2', 'z');
select t.work();
select is(t.ended('z2'), 'status 0', 'another build of the derivation succeeds');

-- Many.
select t.derivation('f' || n) from generate_series(1, 250) n;
select t.build('f' || n, 'f' || n) from generate_series(1, 250) n;
select t.go_on();
select t.load();
select t.claim('build', 100) from generate_series(1, 3);
select count(*) from (select resolver.fail_steps((select jsonb_agg(t.failure('f' || n)) from generate_series(50 * i + 1, 50 * i + 50) n))
                        from generate_series(0, 4) i) x;
select t.go_on();
select is(resolver.clear_failures(), true, 'a call clears two hundred failures');
select is(resolver.clear_failures(), false, 'the second call clears the rest');
select is((select count(*) from resolver.failure where class = 'builder' and cleared_at is null), 0::bigint, 'all failures are cleared');

select * from t.done();
rollback;
