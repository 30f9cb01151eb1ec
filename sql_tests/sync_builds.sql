-- sync_builds(retry): goals match Hydra's Builds, from whatever state they are in.
\ir include/farm.sql

create function pg_temp.goal(p_job text) returns text language sql as $$
    select t.named(d.drv) || case when g.ended_at is null then ' open' else ' ended ' || g.status end
      from resolver.goal g join resolver.derivation d on d.derivation = g.root where g.build = t.id(p_job)
$$;

-- New builds.
select t.keep();
select is(resolver.sync_builds(), false, 'there is nothing to do');
select is(t.changed(), '{resolver.build_scan}', 'the call only records that it has looked');
select t.derivation('a');
select t.build('a', 'a', 7);
select is(resolver.sync_builds(), false, 'another program inserts a build');
select is(pg_temp.goal('a'), 'a open', 'the build becomes a goal');
select results_eq(
    $$select stage, owner, global_priority, priority from resolver.derivation_state where derivation = t.number('a')$$,
    $$values ('unloaded', t.id('a'), 0, 7)$$, 'the derivation of the build is to be loaded');
select t.keep();
select resolver.sync_builds();
select is(t.changed(), '{resolver.build_scan}', 'a second call changes nothing');

-- Bumped.
select t.pass('1 minute');
update Builds set globalPriority = 5 where id = t.id('a');
select resolver.sync_builds();
select results_eq($$select global_priority, priority from resolver.derivation_state where derivation = t.number('a')$$, $$values (5, 7)$$,
                  'a bump raises the priority of the root');
select t.derivation('b', '{a}');
select t.build('b', 'b', 1);
select resolver.sync_builds();
select t.load();
update Builds set globalPriority = 50 where id = t.id('b');
select resolver.sync_builds();
select results_eq($$select global_priority, owner from resolver.derivation_state where derivation = t.number('a')$$, $$values (50, t.id('b'))$$,
                  'a bump raises the priority of dependencies');
select is((select resolver.clock() - opened_at from resolver.goal where build = t.id('a')), '1 minute'::interval,
          'a bump does not open the goal again');

-- Cancelled, deleted.
update Builds set finished = 1, buildStatus = 4, startTime = 1, stopTime = 1 where id = t.id('b');
select resolver.sync_builds();
select is(pg_temp.goal('b'), 'b ended 4', 'the goal of a build that was cancelled on Hydra''s page ends');
select is((select count(*) from resolver.goal where ended_at is not null and recorded_at is null), 0::bigint, 'no end is left to record');
select is(t.stage('b'), 'waiting', 'the derivations of the build are not touched');
select is(t.claim('build'), '{a}', 'a derivation that another build wants goes on');
delete from Builds where id = t.id('a');
select resolver.sync_builds();
select is_empty($$select from resolver.goal where build = t.id('a')$$, 'a deleted build has no goal');
select t.finish('a');

-- Deleted, or cancelled, before the end was written.
select t.derivation('c');
select t.want('c1', 'c');
select t.want('c2', 'c');
select t.load();
update resolver.goal set ended_at = resolver.clock(), status = 0, is_cached = false, info = t.info() where root = t.number('c');
delete from Builds where id = t.id('c1');
update Builds set finished = 1, buildStatus = 4, isCachedBuild = 0, startTime = resolver.hydra_time(resolver.clock()),
                  stopTime = resolver.hydra_time(resolver.clock()), notificationPendingSince = resolver.hydra_time(resolver.clock())
 where id = t.id('c2');
select resolver.sync_builds();
select is_empty($$select from resolver.goal where build = t.id('c1')$$, 'a build that was deleted before its end was written has no goal');
select is(resolver.end_builds(), 0, 'a build that was cancelled before its end was written is not finished again');
select is(t.ended('c2'), 'status 4', 'the build stays cancelled');
select is_empty($$select from BuildProducts where build = t.id('c2')$$, 'the build has no products');
select is_empty($$select from resolver.goal where build = t.id('c2') and recorded_at is null$$, 'the end is not tried again');
select t.work();

-- drvPath was changed.
select t.derivation('d');
select t.derivation('e');
select t.want('d', 'd');
select t.load();
update Builds set drvPath = t.full(t.drv('e')) where id = t.id('d');
select resolver.sync_builds();
select is(pg_temp.goal('d'), 'e open', 'a build whose drvPath was changed follows the new derivation');
select t.load();
select is(t.claim('build'), '{e}', 'the old derivation is not wanted any more');
select t.finish('e');
select is(t.ended('d'), 'status 0', 'the build ends with the new derivation');
select is(t.steps('d'), '{1: e built}', 'the build has the rows of the new derivation');
update Builds set drvPath = t.full(t.drv('a')), finished = 0, buildStatus = null where id = t.id('d');
select resolver.sync_builds();
select is(pg_temp.goal('d'), 'a open', 'a finished build whose drvPath was changed follows the new derivation');
select t.load();
select is(t.ended('d'), 'status 0 cached', 'the build is cached');
select is(t.outputs('d'), jsonb_build_object('out', t.full(t.path('a'))), 'the build has the outputs of the new derivation');

-- Restarted on Hydra's page.
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('d');
select resolver.sync_builds();
select is(pg_temp.goal('d'), 'a open', 'a restarted build is a goal again');
select is(t.stage('a'), 'unloaded', 'the root of a restarted build is loaded again');
select t.load();
select is(t.ended('d'), 'status 0 cached', 'if all outputs are valid, the build ends as cached');
select is((select count(*) from BuildOutputs where build = t.id('d')), 1::bigint, 'the build has one set of outputs');
select is((select count(*) from BuildProducts where build = t.id('d')), 2::bigint, 'the build has one set of products');

-- drvPath was changed, and the old derivation ends before the sync.
select t.derivation('old');
select t.derivation('new');
select t.want('moved', 'old');
select t.load();
update Builds set drvPath = t.full(t.drv('new')), finished = 0, buildStatus = null where id = t.id('moved');
select t.finish('old');
select is(t.ended('moved'), 'unfinished', 'the end of the old derivation does not finish the build');
select is(resolver.end_builds(), 0, 'end_builds() does not finish the build');
update Builds set finished = 1, buildStatus = 4, startTime = 1, stopTime = 1 where id = t.id('moved');
select resolver.end_builds();
select is_empty($$select from resolver.goal where build = t.id('moved') and recorded_at is null$$,
                'if the build is cancelled then, the goal is recorded');
select is(t.ended('moved'), 'status 4', 'the build is cancelled');
select resolver.restart_build(t.id('moved'));
select is(pg_temp.goal('moved'), 'new open', 'a restarted build follows the new derivation');
select t.load();
select t.finish('new');
select is(t.ended('moved'), 'status 0', 'the build ends with the new derivation');

-- Derivations that only the old root needs are not wanted any more, at any depth.
create function pg_temp.owner(p_name text) returns text language sql as $$
    select coalesce((select j.job from t.job j where j.build = s.owner), 'nobody') || case when (s.owner is null) <> (s.jobset is null) then ' wrong' else '' end
      from resolver.derivation_state s where s.derivation = t.number(p_name)
$$;
select t.derivation('bottom');
select t.derivation('bottom-too');
select t.derivation('low', '{bottom}');
select t.derivation('low-too', '{bottom-too}');
select t.derivation('middle', '{low,low-too}');
select t.derivation('upper', '{middle,low}');
select t.derivation('other', '{low-too}');
select t.derivation('newer', '{middle}');
select t.derivation('newest');
select t.want('leaving', 'upper', 5);
select t.want('staying', 'other');
select t.load();
update Builds set drvPath = t.full(t.drv('newer')) where id = t.id('leaving');
select resolver.sync_builds();
select t.load();
select is(array(select pg_temp.owner(n) from unnest('{upper,middle,low,bottom,low-too,bottom-too,newer}'::text[]) n),
          '{nobody,leaving,leaving,leaving,staying,staying,leaving}',
          'derivations that the new root needs keep the owner, or have another owner');
update Builds set drvPath = t.full(t.drv('newest')) where id = t.id('leaving');
select resolver.sync_builds();
select t.load();
select is(array(select pg_temp.owner(n) from unnest('{upper,newer,middle,low,bottom,low-too,bottom-too}'::text[]) n),
          '{nobody,nobody,nobody,nobody,nobody,staying,staying}', 'derivations that no build needs have no owner');
select bag_eq($$select unnest(t.claim('build'))$$, $$values ('newest'), ('bottom-too')$$, 'derivations without an owner are not built');
select t.finish(n) from unnest('{newest,bottom-too}'::text[]) n;
select t.work();
select is(t.ended('leaving') || ', ' || t.ended('staying'), 'status 0, status 0', 'both builds end');
select is(t.steps('leaving'), '{1: newest built}', 'each build has its own steps');

-- A root that was not completely loaded when it was changed, with more derivations than one call handles.
select t.derivation('wide' || n) from generate_series(1, 900) n;
select t.derivation('wide', array(select 'wide' || n from generate_series(1, 900) n));
select t.want('wide', 'wide');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('wide')));
select t.go_on();
select is((select count(*) from resolver.derivation_state where owner = t.id('wide')), 901::bigint, 'the build owns many derivations');
update Builds set drvPath = t.full(t.drv('newest')) where id = t.id('wide');
select resolver.sync_builds();
select isnt((select count(*) from resolver.derivation_state where owner = t.id('wide')), 0::bigint,
            'a bounded part of them is given up at once');
select t.go_on();
select is((select count(*) from resolver.derivation_state where owner = t.id('wide')), 0::bigint, 'advance() does the rest');
select resolver.sync_builds();
select is((select count(*) from resolver.derivation_state where owner = t.id('wide')), 1::bigint, 'then the build wants its new root');
select t.load();
select is(t.ended('wide'), 'status 0 cached', 'the build ends as cached');
select is((select count(*) from resolver.derivation where kind is not null and name like 'wide_%'), 0::bigint,
          'no input of the old root was loaded');

-- A change by the evaluator does not retry known failures, a restart by a user does.
select t.derivation('known');
select t.want('known', 'known');
select t.load();
select t.fail('known');
select t.pass('1 hour');
select t.want('changed', 'newest');
select t.load();
update Builds set drvPath = t.full(t.drv('known')), finished = 0, buildStatus = null where id = t.id('changed');
select resolver.sync_builds();
select t.load();
select is(t.ended('changed'), 'status 1 cached', 'if the new derivation is a known failure, a changed build ends as cached');
update Builds set drvPath = t.full(t.drv('newest')), finished = 0, buildStatus = null where id = t.id('changed');
update Builds set drvPath = t.full(t.drv('known')), finished = 1, buildStatus = 4, startTime = 1, stopTime = 1 where id = t.id('changed');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('changed');
select resolver.sync_builds();
select t.load();
select is(t.ended('changed'), 'unfinished', 'if a user restarted the build since, the derivation is tried again');
select t.work();

-- Restarted and cancelled between two calls.
select t.derivation('f');
select t.want('f', 'f');
select t.load();
update Builds set finished = 1, buildStatus = 4, startTime = 1, stopTime = 1 where id = t.id('f');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('f');
select t.keep();
select resolver.sync_builds();
select is(t.changed(), '{resolver.build_scan}', 'a build that was cancelled and restarted before the sync did not change');
select t.finish('f');
select is(t.ended('f'), 'status 0', 'the build succeeds');

-- Retry.
select t.derivation('g');
select t.want('g', 'g');
select t.load();
select t.fail('g');
select t.pass('1 hour');
select t.want('g2', 'g');
select t.load();
select is(t.ended('g2'), 'status 1 cached', 'a known failure ends a new build');
select t.build('g3', 'g');
select resolver.sync_builds(array[t.id('g3')]);
select is(t.stage('g'), 'unloaded', 'if the build is in retry, failed -> unloaded');
select isnt((select cleared_at from resolver.failure where derivation = t.number('g')), null, 'the failure is cleared');
select t.load();
select t.finish('g');
select is(t.ended('g3'), 'status 0', 'the build succeeds');

-- Finished by another program, after the sync found it as new.
select t.build('over', 'a');
update Builds set finished = 1, buildStatus = 4, startTime = 1, stopTime = 1 where id = t.id('over');
select resolver.open_goals(array[t.id('over')], '{}', '{}');
select is_empty($$select from resolver.goal where build = t.id('over')$$, 'a build that has ended does not become a goal');

-- Many at once: a bounded number.
insert into Builds (finished, timestamp, jobset_id, job, drvPath, system)
select 0, 1, (select id from Jobsets where project = 'project'), 'many', t.full(t.drv('a')), 'x86_64-linux' from generate_series(1, 250);
select is(resolver.sync_builds(p_all => false), true, 'one call handles a bounded number of builds');
select is((select count(*) from resolver.goal where root = t.number('a') and ended_at is null), 100::bigint,
          'one call handles a hundred builds');
select t.go_on();
select is((select count(*) from resolver.goal where root = t.number('a') and ended_at is null), 250::bigint, 'the next calls handle the rest');
select t.load();
select is((select count(*) from Builds where job = 'many' and finished = 1), 150::bigint,
          'each report about the shared root ends a bounded number of builds');
select is(resolver.end_builds(), 100, 'end_builds() writes the other ends');
select is((select count(*) from Builds where job = 'many' and finished = 0), 0::bigint, 'all builds are finished');

-- A build whose drvPath is not the path of a .drv file ends, with the reason, and does not hold up other builds.
create function pg_temp.insert(p_job text, p_drv_path text) returns void language sql as $$
    with build as (
        insert into Builds (finished, timestamp, jobset_id, job, drvPath, system)
        select 0, 1, j.id, p_job, p_drv_path, 'x86_64-linux' from Jobsets j where j.project = 'project' returning id)
    insert into t.job select p_job, id from build
$$;
select pg_temp.insert('odd' || nr, path)
  from unnest(array['garbage', '', t.path('foo'), t.full(t.drv('new') || E'\n'), repeat('x', 5000), t.full('.drv'), t.full(t.drv(repeat('n', 210)))])
       with ordinality x (path, nr);
select t.build('even', 'a');
select resolver.sync_builds();
select is(pg_temp.goal('even'), 'a open', 'a good build becomes a goal');
select is(array_agg(t.ended(job) order by job), array_fill('status 3'::text, array[7]), 'the bad builds are aborted')
  from t.job where job like 'odd%';
select results_eq($$select status, busy, drvPath, errorMsg from BuildSteps where build = t.id('odd1')$$,
                  $$values (3, 0, 'garbage', 'drvPath ''garbage'' is not the path of a .drv file')$$, 'the step row has the reason');
select is((select count(*) from resolver.goal g join t.job j using (build) where j.job like 'odd%'), 0::bigint,
          'the bad builds are no goals');
update Builds set finished = 0 where id = t.id('odd1');
select resolver.sync_builds();
select is(t.steps('odd1'), '{"1: status 3","2: status 3"}', 'a restarted bad build ends again');
update Builds set finished = 0, drvPath = t.full(t.drv('a')) where id = t.id('odd1');
select resolver.sync_builds();
select is(pg_temp.goal('odd1'), 'a open', 'if it gets a derivation, it becomes a goal');
select t.load();

-- A build that raises an error does not hold up other builds.
create function t.refuse_goal() returns trigger language plpgsql as $$
begin
    if new.build = t.id('cursed') then
        raise exception 'this build is cursed';
    end if;
    return new;
end
$$;
create trigger refuse_goal before insert on resolver.goal for each row execute function t.refuse_goal();
select t.build('before', 'a');
select t.build('cursed', 'a');
select t.build('after', 'a');
select resolver.sync_builds();
drop trigger refuse_goal on resolver.goal;
select is(pg_temp.goal('before') || ', ' || pg_temp.goal('after'), 'a open, a open', 'the other builds become goals');
select is(t.ended('cursed'), 'status 3', 'the build with the error is aborted');
select is((select errorMsg from BuildSteps where build = t.id('cursed')), 'this build is cursed', 'the step row has the error');
select t.load();

-- The end of a build raises an error: the other builds end, and this build stays unfinished.
create function t.refuse_end() returns trigger language plpgsql as $$
begin
    if new.id = t.id('held') and new.finished = 1 then
        raise exception 'this build does not end';
    end if;
    return new;
end
$$;
create trigger refuse_end before update on Builds for each row execute function t.refuse_end();
select t.want('first', 'a');
select t.want('held', 'a');
select t.want('last', 'a');
select t.load();
select is(array[t.ended('first'), t.ended('held'), t.ended('last')], '{status 0 cached,unfinished,status 0 cached}',
          'an end that cannot be written holds up no other build');
drop trigger refuse_end on Builds;
select resolver.end_builds();
select is(t.ended('held'), 'status 0 cached', 'the end is written when it can be');

select * from t.done();
rollback;
