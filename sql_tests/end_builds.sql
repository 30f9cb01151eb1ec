-- end_builds(): finishes builds whose end was deferred. For builds whose rows are held see isolation/specs/end_of_build.spec.
\ir include/farm.sql

select t.keep();
select is(resolver.end_builds(), 0, 'no end was deferred');
select is(t.changed(), '{}', 'the call changes nothing');

-- The state after the rows were held: the goal has ended, the build has not.
create function pg_temp.put_off(p_job text) returns void language sql as $$
    update Builds set finished = 0, buildStatus = null, isCachedBuild = null, startTime = null, stopTime = null where id = t.id(p_job);
    update resolver.goal set recorded_at = null where build = t.id(p_job);
$$;
select t.derivation('a');
select t.derivation('b');
select t.derivation('c', '{b}');
select t.want(n, n) from unnest('{a,c}'::text[]) n;
select t.load();
select t.claim('build');
select t.finish('a');
select t.fail('b');
select pg_temp.put_off('a');
select pg_temp.put_off('c');
select t.pass('1 minute');
select is(resolver.end_builds(), 2, 'two builds are finished');
select is(t.ended('a') || ', ' || t.ended('c'), 'status 0, status 2', 'each build gets its own status');
select is((select array_agg(stopTime - resolver.hydra_time(resolver.clock())) from Builds where id in (t.id('a'), t.id('c'))), '{-60,-60}',
          'each build gets the time when its goal ended');
select results_eq($$select recorded_at - ended_at from resolver.goal$$, $$values (interval '1 minute'), (interval '1 minute')$$,
                  'the end is recorded later');
select is((select count from NrBuilds where what = 'finished'), 2, 'each is counted once');
select is((select count(*) from BuildProducts where build = t.id('a')), 2::bigint, 'the build has its products once');
select is(t.steps('c'), '{1: b status 1}', 'the build has its step rows');
select t.keep();
select is(resolver.end_builds(), 0, 'no end is left');
select is(t.changed(), '{}', 'the call changes nothing');

-- Another program finished the build meanwhile.
select pg_temp.put_off('a');
update Builds set finished = 1, buildStatus = 4, startTime = 5, stopTime = 5 where id = t.id('a');
select is(resolver.end_builds(), 0, 'a build that was cancelled meanwhile is not finished');
select is(t.ended('a'), 'status 4', 'the build stays cancelled');
select is((select count from NrBuilds where what = 'finished'), 2, 'the build is not counted twice');
select is_empty('select from resolver.goal where recorded_at is null', 'the goal is recorded');

-- A database without the counter.
select pg_temp.put_off('c');
delete from NrBuilds;
select is(resolver.end_builds(), 1, 'without the row of the counter, builds end all the same');
insert into NrBuilds select 'finished', count(*) from Builds where finished = 1;

select * from t.done();
rollback;
