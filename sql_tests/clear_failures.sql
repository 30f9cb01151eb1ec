-- clear_failures(): what failed is tried again by whoever wants it next.
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
select is(resolver.clear_failures(), false, 'all that is known to fail is forgotten at once');
select is(array[t.stage('bad'), t.stage('on-bad'), t.stage('slow')], '{unloaded,waiting,failed}',
          'failed -> unloaded: what would end other builds; the rest does not');
select is_empty('select from resolver.derivation_state where failed_dependency is not null', 'dependents know of it');
select results_eq('select class, cleared_at = resolver.clock() from resolver.failure order by failure',
                  $$values ('builder', true), ('timeout', null)$$, 'the failure is history');
select is(array[t.ended('bad'), t.ended('on-bad'), t.ended('slow')], '{status 1,status 2,status 7}', 'builds stay as they ended');
select t.pass('1 minute');
select is(array[resolver.advance(), resolver.sync_builds()], '{f,f}', 'and are not opened again');
select is(t.claim('load') || t.claim('build'), '{}', 'nothing is done for them');
select t.want('later', 'on-bad');
select t.load();
select is(t.claim('build'), '{bad}', 'who wants it later has it tried');
select t.finish('bad');
select t.work();
select is(t.ended('later'), 'status 0', 'and may succeed');
select t.keep();
select is(resolver.clear_failures(), false, 'once more');
select is(t.changed(), '{}', 'changes nothing');

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
select is(t.ended('z'), 'status 2', 'a build that has ended stays so');
select t.want('z2', 'z');
select t.work();
select is(t.ended('z2'), 'status 0', 'another one is built');

-- Many.
select t.derivation('f' || n) from generate_series(1, 250) n;
select t.build('f' || n, 'f' || n) from generate_series(1, 250) n;
select t.go_on();
select t.load();
select t.claim('build', 100) from generate_series(1, 3);
select count(*) from (select resolver.fail_steps((select jsonb_agg(t.failure('f' || n)) from generate_series(50 * i + 1, 50 * i + 50) n))
                        from generate_series(0, 4) i) x;
select t.go_on();
select is(resolver.clear_failures(), true, 'two hundred at a time');
select is(resolver.clear_failures(), false, 'then the rest');
select is((select count(*) from resolver.failure where class = 'builder' and cleared_at is null), 0::bigint, 'all of them');

select * from t.done();
rollback;
