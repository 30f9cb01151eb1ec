-- A restart restarts all builds that ended by the same failure, and by no other.
\ir include/farm.sql

-- Jobs by status: {"status 2": "b c"}.
create function pg_temp.standing(p_jobs text) returns jsonb language sql as $$
    select jsonb_object_agg(x.ended_at, x.jobs)
      from (select t.ended(j) as ended_at, string_agg(j, ' ' order by nr) as jobs
              from string_to_table(p_jobs, ' ') with ordinality u (j, nr) group by 1) x
$$;
-- Two hundred builds fail because of one derivation, at any distance, and one build of each other kind.
select t.derivation('bad');
select t.derivation('other');
select t.derivation('near' || i, '{bad}') from generate_series(1, 100) i;
select t.derivation('far' || i, array['near' || i]) from generate_series(1, 100) i;
select t.derivation('both', '{bad,other}');
select t.derivation('slow');
select t.want(j, j) from unnest('{bad,both,slow}'::text[]) j;
select t.want('near' || i, 'near' || i), t.want('far' || i, 'far' || i) from generate_series(1, 100) i;
select t.want(j, 'near1') from unnest('{cancelled,deleted,moved,known,again}'::text[]) j;
select t.load();
select t.claim('build');
select t.fail('bad');
select t.fail('other');
select t.fail('slow', 'timeout', 7);
select t.go_on();
select is((select count(*) from Builds where buildStatus = 2 and finished = 1), 206::bigint, 'one failure ends two hundred builds');
update Builds set buildStatus = 4 where id = t.id('cancelled');
delete from Builds where id = t.id('deleted');
update Builds set drvPath = t.full(t.drv('moved')) where id = t.id('moved');
select t.pass('1 hour');
select t.want('cached', 'near2');
select is(t.ended('cached'), 'status 2 cached', 'a later build ends by the same failure');

select t.pass('1 hour');
select t.want('retried', 'both');
select is(t.ended('retried'), 'status 2 cached', 'the known failure ends another build');
select resolver.restart_build(t.id('far7'));
select t.go_on();
select is(pg_temp.standing('bad near1 near100 far1 far7 far100 known cached'),
          '{"unfinished": "bad near1 near100 far1 far7 far100 known cached"}', 'one restart restarts all builds of the failure');
select is((select count(*) from Builds where finished = 0), 204::bigint, 'the two hundred builds are restarted, and no others');
select is(pg_temp.standing('both retried'), '{"status 2": "both", "status 2 cached": "retried"}',
          'a build with another cause as well is not restarted');
select is(pg_temp.standing('slow cancelled moved'), '{"status 7": "slow", "status 4": "cancelled", "status 2": "moved"}',
          'a build that timed out, was cancelled, or has another derivation by now is not restarted');
select is((select count(*) from resolver.goal where ended_at is null), 204::bigint, 'the goals of the restarted builds are open');
select is(t.go_on(), 1, 'no work is left');
select is_empty('select from resolver.failure where is_reopening', 'no failure is marked any more');
select is(resolver.advance(), false, 'advance() returns false');
select t.pass('1 minute');
select t.work();
select is((select count(*) from Builds where finished = 0), 0::bigint, 'all builds end');
select is(pg_temp.standing('bad near1 far1 far100'), '{"status 0": "bad near1 far1 far100"}', 'the restarted builds succeed');
select is(t.steps('bad'), array['1: bad status 1', '2: bad built'],
          'the derivation has one attempt, on the account of the build whose root it is');

-- A retry is for one build only.
select t.derivation('e');
select t.derivation('f', '{e}');
select t.want('e', 'e');
select t.load();
select t.fail('e');
select t.pass('1 minute');
select t.build('f', 'f');
select resolver.sync_builds(array[t.id('f')]);
select t.load();
select t.go_on();
select is(t.stage('e') || ', ' || t.ended('e'), 'buildable, status 1',
          'a build that retries a known failure does not restart other builds');
select t.work();
select is(pg_temp.standing('e f'), '{"status 1": "e", "status 0": "f"}', 'other builds stay as they ended');

-- A restart does not reach builds of an older failure.
select resolver.invalidate_paths(array[t.path('e'), t.path('r-f')]);
select t.store_loses(t.path('e')), t.store_loses(t.path('r-f'));
select t.pass('1 minute');
select t.want('f2', 'f');
select t.load();
select t.fail('e');
select is(pg_temp.standing('e f2'), '{"status 1": "e", "status 2": "f2"}', 'the derivation fails once more');
select t.pass('1 minute');
select resolver.restart_build(t.id('f2'));
select t.go_on();
select is(pg_temp.standing('e f2'), '{"status 1": "e", "unfinished": "f2"}',
          'a build that ended by the first failure is not restarted with the second');
select t.work();

-- Hydra's page changes the row, and the graph follows later. The end of one build was not written yet.
select t.derivation('g');
select t.derivation('h', '{g}');
select t.want('g', 'g');
select t.want('h', 'h');
select t.want('h2', 'h');
select t.load();
select t.fail('g');
update resolver.goal set recorded_at = null where build = t.id('h2');
update Builds set finished = 0, buildStatus = null, isCachedBuild = null, startTime = null, stopTime = null where id = t.id('h2');
select t.pass('1 minute');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('h');
select resolver.sync_builds();
select is(pg_temp.standing('g h h2'), '{"unfinished": "g h h2"}', 'a changed row restarts the builds of the failure');
select t.work();
select is(pg_temp.standing('g h h2'), '{"status 0": "g h", "status 0 cached": "h2"}', 'all builds succeed');

-- The derivation fails again.
select t.derivation('k');
select t.derivation('l', '{k}');
select t.want('l1', 'l');
select t.want('l2', 'l');
select t.load();
select t.fail('k');
select t.pass('1 minute');
select resolver.restart_build(t.id('l2'));
select t.load();
select t.fail('k');
select is(pg_temp.standing('l1 l2'), '{"status 2": "l1 l2"}', 'a second failure ends all builds again');
select is(t.steps('l1'), array['1: k status 1', '2: k status 1 from l2'],
          'the build has a row for each failure, whichever build ran the attempt');
select is(t.steps('l2'), array['1: k status 1 from l1', '2: k status 1'], 'the other build has a row for each attempt');

-- Long walks, and restarts that follow from them, go on at later ticks.
select t.derivation('m1');
select t.derivation('m2');
select t.derivation('low' || i, '{m1}'), t.derivation('n' || i, array['low' || i]) from generate_series(1, 300) i;
select t.derivation('n0', '{m2}');
select t.derivation('top', '{m1,m2}');
select t.build('n' || i, 'n' || i) from generate_series(0, 300) i;
select t.build('top', 'top');
select t.go_on();
select t.load();
select t.claim('build');
select t.fail('m1');
select t.fail('m2');
select t.go_on();
select is((select count(*) from Builds where finished = 1 and job ~ '^n[0-9]+$'), 301::bigint, 'many builds fail');
select t.pass('1 minute');
select resolver.restart_build(t.id('top'));
select ok((select count(*) from Builds where finished = 1 and job ~ '^n[0-9]+$') > 50, 'a bounded number of builds is restarted at once');
select isnt_empty('select from resolver.failure where is_reopening', 'the failure stays marked while there is more to do');
select is(resolver.has_work(t.worker_id()), true, 'a worker that drains the queue has work');
select ok(t.go_on() > 1, 'the rest is done in several steps');
select is((select count(*) from Builds where finished = 0 and job ~ '^n[0-9]+$'), 301::bigint,
          'in the end all builds are open, whichever failure ended them');
select is_empty('select from resolver.failure where is_reopening', 'no failure is marked any more');
-- In few reports: each report leaves row versions that every later report has to read while this transaction lasts.
create function pg_temp.work_in_large_reports() returns void language plpgsql as $$
declare
    v_resolve text[];
    v_build   text[];
begin
    loop
        perform t.load();
        v_resolve := t.claim('resolve', 100);
        perform resolver.set_resolved_to((select coalesce(jsonb_agg(t.resolution(n, 'r-' || n)), '[]') from unnest(v_resolve) n));
        v_build := t.claim('build', 100);
        perform resolver.finish_steps((select coalesce(jsonb_agg(t.success(n)), '[]') from unnest(v_build) n));
        exit when v_resolve = '{}' and v_build = '{}';
    end loop;
    while resolver.advance() or resolver.end_builds() > 0 loop
    end loop;
end
$$;
analyze resolver.goal, resolver.derivation_state, resolver.output, resolver.derivation, resolver.dependency;
select pg_temp.work_in_large_reports();
select is((select count(*) from Builds where finished = 1 and buildStatus = 0 and job ~ '^n[0-9]+$'), 301::bigint, 'all builds succeed');

-- One at a time: both failures are handled, and only when all other failures in the way of their builds are known.
select t.derivation('p');
select t.derivation('q');
select t.derivation('p' || i, '{p}'), t.derivation('q' || i, '{q}') from generate_series(1, 2) i;
select t.want(j, j) from unnest('{p1,p2,q1,q2}'::text[]) j;
select t.load();
select t.fail(d) from unnest('{p,q}'::text[]) d;
select is(pg_temp.standing('p1 p2 q1 q2'), '{"status 2": "p1 p2 q1 q2"}', 'two failures end two builds each');
select t.pass('1 minute');
select resolver.clear_failure(t.number(d), true) from unnest('{p,q}'::text[]) d;
select resolver.restart_affected_builds(1);
select is((select count(*) from resolver.failure where is_reopening), 2::bigint, 'before the walks have ended nothing is restarted');
select resolver.run_propagations();
select resolver.restart_affected_builds(1), resolver.run_propagations() from generate_series(1, 4);
select is(pg_temp.standing('p1 p2 q1 q2'), '{"unfinished": "p1 p2 q1 q2"}', 'each build is restarted in turn');
select resolver.restart_affected_builds(1);
select is_empty('select from resolver.failure where is_reopening', 'no failure is marked any more');

-- Two causes: when one failure is cleared, the build waits for the other, and is restarted with it.
select t.derivation('one');
select t.derivation('two');
select t.derivation('on-one', '{one}');
select t.derivation('on-two', '{two}');
select t.derivation('on-both', '{one,two}');
select t.want(j, j) from unnest('{on-one,on-two,on-both}'::text[]) j;
select t.load();
select t.claim('build');
select t.fail('one');
select t.pass('1 minute');
select t.fail('two');
select is(pg_temp.standing('on-one on-two on-both'), '{"status 2": "on-one on-two on-both"}', 'two failures are in the way of one build');
select t.pass('1 minute');
select resolver.restart_build(t.id('on-one'));
select t.go_on();
select is(pg_temp.standing('on-one on-two on-both'), '{"unfinished": "on-one", "status 2": "on-two on-both"}',
          'when the first failure is cleared, the second stays in the way');
select is((select t.named(d.drv) from resolver.goal g join resolver.derivation d on d.derivation = g.cause where g.build = t.id('on-both')), 'two',
          'the goal records the second failure as its cause');
select is_empty('select from resolver.failure where is_reopening', 'no work is left for the first failure');
select t.load();
select t.fail('one');
select t.pass('1 minute');
select resolver.restart_build(t.id('on-two'));
select t.go_on();
select is(pg_temp.standing('on-one on-two on-both'), '{"unfinished": "on-two", "status 2": "on-one on-both"}',
          'when the second failure is cleared, the first has failed again');
select t.work();
select t.pass('1 minute');
select resolver.restart_build(t.id('on-one'));
select is(pg_temp.standing('on-one on-two on-both'), '{"unfinished": "on-one on-both", "status 0": "on-two"}',
          'when no failure is in its way, the build is restarted');
select is((select blamed_at from resolver.goal where build = t.id('on-both')), null, 'the goal has no other cause any more');
select t.work();
select is(pg_temp.standing('on-one on-two on-both'), '{"status 0": "on-one on-two on-both"}', 'the builds succeed');

-- Causes change in bounded steps, too.
select t.derivation('first');
select t.derivation('second');
select t.derivation('on-first', '{first}');
select t.derivation('held' || i, '{first,second}') from generate_series(1, 3) i;
select t.want(j, j) from unnest('{on-first,held1,held2,held3}'::text[]) j;
select t.load();
select t.claim('build');
select t.fail('first'), t.fail('second');
select t.pass('1 minute');
select resolver.clear_failure(t.number('first'), true), resolver.run_propagations();
select resolver.restart_affected_builds(1);
select is((select count(*) from resolver.goal where cause = t.number('first')), 3::bigint, 'one cause changes at a time');
select resolver.run_propagations(), resolver.restart_affected_builds(1) from generate_series(1, 4);
select is((select count(*) from resolver.goal where cause = t.number('second')), 3::bigint, 'in the end all causes have changed');
select resolver.run_propagations(), resolver.restart_affected_builds(1);
select is(pg_temp.standing('on-first held1 held2 held3'), '{"unfinished": "on-first", "status 2": "held1 held2 held3"}',
          'a build without another failure is restarted meanwhile');
select is_empty('select from resolver.failure where is_reopening', 'no failure is marked any more');
select t.work();

-- The failure was cleared by a retry: the first restart is for all builds that it ended.
select t.derivation('v');
select t.derivation('v' || i, '{v}') from generate_series(1, 4) i;
select t.want('v' || i, 'v' || i) from generate_series(1, 3) i;
select t.load();
select t.fail('v');
select t.pass('1 minute');
select t.build('v4', 'v4');
select resolver.sync_builds(array[t.id('v4')]);
select t.work();
select is(pg_temp.standing('v1 v2 v3 v4'), '{"status 2": "v1 v2 v3", "status 0": "v4"}',
          'a build that retried the derivation has succeeded');
update Builds set drvPath = t.full(t.drv('v4')), finished = 0 where id = t.id('v3');
select resolver.sync_builds();
select t.work();
select is(pg_temp.standing('v1 v2 v3'), '{"status 2": "v1 v2", "status 0 cached": "v3"}',
          'a build that gets another derivation does not restart others');
select resolver.restart_build(t.id('v1'));
select t.go_on();
select is(pg_temp.standing('v1 v2'), '{"unfinished": "v1 v2"}', 'a restart of one build restarts the other');
select t.work();
select is(pg_temp.standing('v1 v2'), '{"status 0": "v1 v2"}', 'both builds succeed');

-- The same for builds whose cause has changed to another failure.
select t.derivation('y');
select t.derivation('z');
select t.derivation('on-y', '{y}');
select t.derivation('on-z', '{z}');
select t.derivation('yz' || i, '{y,z}') from generate_series(1, 2) i;
select t.want(j, j) from unnest('{on-y,yz1,yz2}'::text[]) j;
select t.load();
select t.claim('build');
select t.fail('y');
select t.pass('1 minute');
select t.fail('z');
select t.pass('1 minute');
select resolver.restart_build(t.id('on-y'));
select t.pass('1 minute');
select t.build('on-z', 'on-z');
select resolver.sync_builds(array[t.id('on-z')]);
select t.work();
select is(pg_temp.standing('on-y on-z yz1 yz2'), '{"status 0": "on-y on-z", "status 2": "yz1 yz2"}', 'both failures are cleared');
select resolver.restart_build(t.id('yz2'));
select is(pg_temp.standing('yz1 yz2'), '{"unfinished": "yz1 yz2"}', 'a restart of one build restarts the other');
select t.work();

-- Hydra's rows have the failures of pruned goals.
create function pg_temp.prune(p_age interval) returns void language plpgsql as $$
declare
    v_after bigint := 0;
begin
    while v_after is not null loop
        v_after := resolver.prune(p_age, v_after) ->> 'after';
    end loop;
end
$$;
create function pg_temp.goals(p_jobs text[]) returns bigint language sql as $$
    select count(*) from resolver.goal g where g.build = any (array(select t.id(j) from unnest(p_jobs) j))
$$;
select t.derivation('old');
select t.derivation('older');
select t.derivation('on-old' || i, '{old}') from generate_series(1, 3) i;
select t.derivation('on-older', '{older}');
select t.derivation('on-both-old', '{old,older}');
select t.want(j, j) from unnest('{on-old1,on-older,on-both-old,old}'::text[]) j;
select t.want(j, 'on-old2') from unnest('{on-old2,now-cancelled,now-moved}'::text[]) j;
select t.load();
select t.fail('old');
select t.pass('1 minute');
select t.fail('older');
select t.want('on-old3', 'on-old3');
select t.load();
select is(pg_temp.standing('on-old1 on-old2 on-old3 on-older on-both-old old'),
          '{"status 1": "old", "status 2": "on-old1 on-old2 on-older on-both-old", "status 2 cached": "on-old3"}', 'all builds fail');
update Builds set buildStatus = 4 where id = t.id('now-cancelled');
select t.pass('100 days');
select pg_temp.prune('90 days');
select is(pg_temp.goals('{on-old1,on-old2,on-old3,on-older,on-both-old,old}') || ' ' || (t.number('old') is null), '0 true',
          'all goals are pruned');
select resolver.restart_build(t.id('on-old3'));
select t.go_on();
select is(pg_temp.standing('on-old1 on-old2 on-old3 old on-both-old now-moved'), '{"unfinished": "on-old1 on-old2 on-old3 old on-both-old now-moved"}',
          'a restart of one build still restarts the others, from Hydra''s rows');
select is(pg_temp.standing('on-older now-cancelled'), '{"status 2": "on-older", "status 4": "now-cancelled"}',
          'a build with another cause is not restarted, nor a cancelled build');
select is_empty('select from resolver.failure where is_reopening', 'no failure is marked any more');
select is((select array_agg((class, status)::text) from resolver.failure where derivation = t.number('old')), '{"(builder,1)"}',
          'the failure is recorded again');
select t.load();
select is(t.stage('older'), 'buildable', 'the other failure was pruned as well');
select t.work();
select is(pg_temp.standing('on-old1 on-old2 on-old3 old on-both-old on-older'), '{"status 0": "on-old1 on-old2 on-old3 old on-both-old", "status 2": "on-older"}',
          'the restarted builds succeed');
select resolver.restart_build(t.id('on-older'));
select t.work();
select is(t.ended('on-older'), 'status 0', 'the other build succeeds after its restart');

-- Only some goals are pruned: later builds keep the failure.
select t.derivation('known');
select t.derivation('rest');
select t.derivation('on-known' || i, '{known}') from generate_series(1, 4) i;
select t.derivation('known-rest', '{known,rest}');
select t.want('on-known1', 'on-known1');
select t.want('known-rest', 'known-rest');
select t.load();
select t.fail('known');
select t.pass('80 days');
select t.want('on-known2', 'on-known2');
select t.want('on-known3', 'on-known3');
select t.build('on-rest', 'rest');
select resolver.sync_builds();
select t.load();
select t.fail('rest');
select t.pass('20 days');
select pg_temp.prune('90 days');
select is(pg_temp.goals('{on-known1,known-rest}') || ' ' || pg_temp.goals('{on-known2,on-known3,on-rest}') || ' ' || t.stage('known'), '0 3 failed',
          'only old goals are pruned');
select resolver.restart_build(t.id('on-known2'));
select t.go_on();
select is(pg_temp.standing('on-known1 on-known2 on-known3 on-rest'), '{"unfinished": "on-known1 on-known2 on-known3", "status 1": "on-rest"}',
          'builds with and without a goal are restarted');
select t.load();
select is(t.ended('known-rest'), 'status 2 cached', 'another known failure ends a build like any new build');
select resolver.restart_build(t.id('on-rest'));
select t.work();
select is(pg_temp.standing('on-known1 known-rest on-rest'), '{"status 0": "on-known1 known-rest on-rest"}',
          'the build is restarted with that failure');

-- A failure that a retry cleared, and an earlier one: only builds of the same failure are restarted.
select t.derivation('once');
select t.derivation('on-once' || i, '{once}') from generate_series(1, 5) i;
select t.want('on-once1', 'on-once1');
select t.want('on-once5', 'on-once5');
select t.load();
select t.fail('once');
select t.pass('1 day');
select t.build('on-once2', 'on-once2');
select t.build('on-once3', 'on-once3');
select resolver.sync_builds(array[t.id('on-once2'), t.id('on-once3')]);
select t.load();
select t.fail('once');
select t.pass('1 day');
select t.build('on-once4', 'on-once4');
select resolver.sync_builds(array[t.id('on-once4')]);
select t.work();
select t.pass('100 days');
select pg_temp.prune('99 days');
select is(pg_temp.goals('{on-once1,on-once2,on-once3,on-once4}') || ' ' || (select count(*) from resolver.failure where derivation = t.number('once')), '0 0',
          'cleared failures are pruned');
select resolver.restart_build(t.id('on-once2'));
select t.go_on();
select is(pg_temp.standing('on-once1 on-once2 on-once3 on-once5'), '{"status 2": "on-once1 on-once5", "unfinished": "on-once2 on-once3"}',
          'of two failures, only the one that ended the build counts');
select t.work();
select resolver.restart_build(t.id('on-once1'));
select t.go_on();
select is(pg_temp.standing('on-once1 on-once5'), '{"unfinished": "on-once1 on-once5"}', 'the older failure has its own builds');
select t.work();

-- The goals are pruned, and the failure is recorded as cleared.
select t.derivation('cleared');
select t.derivation('on-cleared' || i, '{cleared}') from generate_series(1, 4) i;
select t.want('on-cleared1', 'on-cleared1');
select t.want('on-cleared2', 'on-cleared2');
select t.load();
select t.fail('cleared');
select t.pass('100 days');
select t.build('on-cleared3', 'on-cleared3');
select resolver.sync_builds(array[t.id('on-cleared3')]);
select t.load();
select t.pass('1 minute');
select t.fail('cleared');
select t.pass('1 day');
select t.build('on-cleared4', 'on-cleared4');
select resolver.sync_builds(array[t.id('on-cleared4')]);
select t.work();
select pg_temp.prune('90 days');
select is(pg_temp.goals('{on-cleared1,on-cleared2}') || ' ' || (select count(*) from resolver.failure where derivation = t.number('cleared')), '0 2',
          'goals are pruned before the failure');
select resolver.restart_build(t.id('on-cleared1'));
select t.go_on();
select is(pg_temp.standing('on-cleared1 on-cleared2 on-cleared3'), '{"status 2": "on-cleared3", "unfinished": "on-cleared1 on-cleared2"}',
          'a restart of one build restarts the other, and no build that ended by a later failure');
select is((select count(*) from resolver.failure where derivation = t.number('cleared')), 2::bigint, 'the failure is recorded once');
select t.work();

-- A failure before a success does not count.
select t.derivation('twice');
select t.derivation('on-twice' || i, '{twice}') from generate_series(1, 2) i;
select t.want('on-twice1', 'on-twice1');
select t.load();
select t.fail('twice');
select t.pass('1 minute');
select resolver.restart_build(t.id('on-twice1'));
select t.work();
select t.store_loses(t.path('twice')), resolver.invalidate_paths(array[t.path('twice')]);
select t.pass('1 minute');
select t.want('on-twice2', 'on-twice2');
select t.load();
select t.fail('twice');
select t.pass('100 days');
select pg_temp.prune('90 days');
select resolver.restart_build(t.id('on-twice1'));
select t.go_on();
select is(pg_temp.standing('on-twice1 on-twice2'), '{"unfinished": "on-twice1", "status 2": "on-twice2"}',
          'a build that failed before its success is not restarted with another');
select t.work();

-- A timeout in the way of a restarted build is tried again for that build alone.
select t.derivation('kk');
select t.derivation('ww');
select t.derivation('on-kk', '{kk}');
select t.derivation('on-ww', '{ww}');
select t.derivation('kk-ww', '{kk,ww}');
select t.want('kk-ww', 'kk-ww');
select t.load();
select t.fail('kk');
select t.pass('80 days');
select t.want(j, j) from unnest('{on-kk,on-ww}'::text[]) j;
select t.load();
select t.fail('ww', 'timeout', 7);
select t.pass('20 days');
select pg_temp.prune('90 days');
select is(pg_temp.goals('{kk-ww}') || ' ' || pg_temp.standing('on-kk on-ww kk-ww')::text, '0 {"status 2": "on-ww kk-ww", "status 2 cached": "on-kk"}',
          'one goal is pruned');
select resolver.restart_build(t.id('on-kk'));
select t.load();
select t.go_on();
select is(pg_temp.standing('on-kk on-ww kk-ww')::text || ' ' || t.stage('ww'), '{"status 2": "on-ww", "unfinished": "on-kk kk-ww"} buildable',
          'the build is restarted, and no build of the other failure');
select t.work();

-- A build whose root timed out is not restarted, its dependents are, in bounded steps.
select t.derivation('long');
select t.derivation('on-long' || i, '{long}') from generate_series(1, 5) i;
select t.want(j, j) from unnest('{long,on-long1,on-long2,on-long3,on-long4,on-long5}'::text[]) j;
select t.load();
select t.fail('long', 'timeout', 7);
select t.pass('100 days');
select pg_temp.prune('90 days');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('on-long1');
select resolver.restore_forgotten_failures(array[t.id('on-long1')]);
select resolver.open_goals(array[t.id('on-long1')], array[t.id('on-long1')], '{}');
select resolver.run_propagations(), resolver.restart_affected_builds(2);
select is(pg_temp.goals('{on-long1,on-long2,on-long3,on-long4,on-long5}'), 3::bigint, 'a bounded number of builds is restarted at a time');
select resolver.run_propagations(), resolver.restart_affected_builds(2) from generate_series(1, 3);
select is(pg_temp.standing('long on-long1 on-long5'), '{"status 7": "long", "unfinished": "on-long1 on-long5"}',
          'in the end all dependents are restarted');
select is_empty('select from resolver.failure where is_reopening', 'no failure is marked any more');
select t.work();

-- The derivation fails again before builds are restarted that reach it through another resolution: these end by the new failure, and do
-- not try it again, and neither do builds that end by it.
select t.derivation('seed');
select t.derivation('one-way', '{seed}');
select t.derivation('other-way', '{seed}');
select t.derivation('on-other-way', '{other-way}');
select t.want(j, j) from unnest('{one-way,other-way,on-other-way}'::text[]) j;
select t.load();
select t.finish('seed');
select t.claim('resolve');
select t.resolve(j, 'same') from unnest('{one-way,other-way}'::text[]) j;
select t.fail('same');
delete from resolver.goal where build = t.id('on-other-way');
select is(pg_temp.standing('one-way other-way on-other-way'), '{"status 1": "one-way other-way", "status 2": "on-other-way"}',
          'two derivations resolve to the same one, which fails');
select t.pass('1 minute');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('one-way');
select resolver.open_goals(array[t.id('one-way')], array[t.id('one-way')], '{}'), resolver.run_propagations();
-- This simulates a transaction that holds the counter of finished builds meanwhile.
create temporary table marked as select failure from resolver.failure where is_reopening;
update resolver.failure set is_reopening = false where is_reopening;
select t.load();
select t.resolve('one-way', 'same');
select t.pass('1 second');
select t.fail('same');
update resolver.failure set is_reopening = true where failure in (select failure from marked);
select is(pg_temp.standing('one-way other-way on-other-way'), '{"status 1": "one-way other-way", "status 2": "on-other-way"}',
          'the restarted build has failed again');
select isnt_empty('select from resolver.failure where is_reopening', 'the other builds are still to be restarted');
select t.pass('1 second');
select t.go_on();
select is(pg_temp.standing('one-way other-way on-other-way'), '{"status 1": "one-way", "unfinished": "other-way on-other-way"}',
          'the other builds are restarted');
select t.load();
select t.resolve('other-way', 'same');
select is(pg_temp.standing('one-way other-way on-other-way'), '{"status 1": "one-way", "status 1 cached": "other-way", "status 2 cached": "on-other-way"}',
          'the other builds fail with the same failure');
select is_empty('select from resolver.failure where is_reopening', 'no failure is marked any more');

-- A build with a goal whose root timed out is not restarted either.
select t.derivation('tired');
select t.derivation('on-tired' || i, '{tired}') from generate_series(1, 2) i;
select t.want(j, j) from unnest('{tired,on-tired1,on-tired2}'::text[]) j;
select t.load();
select t.fail('tired', 'timeout', 7);
select t.pass('1 minute');
select resolver.restart_build(t.id('on-tired1'));
select t.go_on();
select is(pg_temp.standing('tired on-tired1 on-tired2'), '{"status 7": "tired", "unfinished": "on-tired1 on-tired2"}',
          'only dependents of the timeout are restarted');
select t.work();

-- If a goal records another failure than Hydra's rows, it is not pruned while that failure is in force.
select t.derivation('a1');
select t.derivation('b1');
select t.derivation('x1', '{a1,b1}');
select t.derivation('on-a1', '{a1}');
select t.derivation('on-b1', '{b1}');
select t.want(j, j) from unnest('{x1,on-a1,on-b1}'::text[]) j;
select t.load();
select t.claim('build');
select t.fail('a1'), t.fail('b1');
select t.pass('1 hour');
select resolver.restart_build(t.id('on-a1'));
select t.go_on();
select t.load();
select t.fail('a1');
select t.pass('1 hour');
select resolver.restart_build(t.id('on-b1'));
select t.go_on();
select t.work();
select is(pg_temp.standing('x1 on-a1 on-b1'), '{"status 2": "x1 on-a1", "status 0": "on-b1"}',
          'the build waits for the failure that is in force');
select t.pass('100 days');
select pg_temp.prune('90 days');
select resolver.restart_build(t.id('on-a1'));
select t.go_on();
select t.work();
select is(pg_temp.standing('x1 on-a1'), '{"status 0": "x1 on-a1"}', 'the build is restarted with that failure after pruning');

select * from t.done();
rollback;
