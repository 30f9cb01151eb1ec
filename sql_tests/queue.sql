-- The order in which derivations are built: priorities, fair shares, the longest chain, age; and the cost of this order.
\ir include/farm.sql

create function pg_temp.jobset(p_name text, p_shares integer) returns void language sql as $$
    insert into Projects (name, displayName, owner) values (p_name, p_name, 'someone') on conflict do nothing;
    insert into Jobsets (project, name, nixExprInput, nixExprPath, emailOverride, schedulingShares)
    values (p_name, p_name, '', '', '', p_shares);
$$;
-- A build of the derivation of that name, in a jobset.
create function pg_temp.add(p_jobset text, p_name text, p_priority integer default 0, p_global integer default 0)
    returns void language sql as $$
    with build as (
        insert into Builds (finished, timestamp, jobset_id, job, drvPath, system, priority, globalPriority)
        select 0, 1, j.id, p_name, t.full(t.drv(p_name)), 'x86_64-linux', p_priority, p_global
          from Jobsets j where j.name = p_jobset
        returning id
    )
    insert into t.job select p_name, id from build on conflict (job) do update set build = excluded.build
$$;
create function pg_temp.ready() returns void language plpgsql as $$
begin
    while resolver.sync_builds() loop end loop;
    perform t.load();
    while resolver.advance() loop end loop;
end
$$;
-- The order in which one slot gets all derivations.
create function pg_temp.queue() returns text[] language plpgsql as $$
declare
    v_all  text[] := '{}';
    v_next text[];
begin
    loop
        v_next := t.claim('build', 1);
        exit when v_next = '{}';
        v_all := v_all || v_next;
    end loop;
    perform resolver.release_claims(t.worker_id(), array(select l.lease from resolver.lease l where l.closed_at is null and l.verb = 'build'), '');
    return v_all;
end
$$;
create function pg_temp.height(p_name text) returns integer language sql as $$
    select s.height from resolver.derivation_state s where s.derivation = t.number(p_name)
$$;
create function pg_temp.finish_all(p_names text[]) returns void language sql as $$
    select t.finish(n) from unnest(p_names) n;
$$;

-- Each rule decides if the rules before it do not.
select pg_temp.jobset('one', 100);
select t.derivation(n) from unnest('{old,new,urgent,low,deep}'::text[]) n;
select t.derivation('above', '{deep}');
select t.derivation('top', '{above}');
select pg_temp.add('one', 'old');
select pg_temp.add('one', 'new');
select pg_temp.add('one', 'low', -1);
select pg_temp.add('one', 'top', -2);
select pg_temp.add('one', 'urgent', -3, 1);
select pg_temp.ready();
select is(pg_temp.queue(), '{urgent,deep,old,new,low}',
          'the order is globalPriority, the longest chain of remaining work, priority, the older build');
select is(t.claim('build', 3), '{urgent,deep,old}', 'a claim for several derivations has the same order');
select t.finish('urgent');
select t.finish('deep');
select t.finish('old');
select t.work();
select is(t.ended('top'), 'status 0', 'the build succeeds');

-- Between jobsets: the jobset that has used least of its share comes first.
select pg_temp.jobset('two', 100);
select t.derivation('a' || n), t.derivation('b' || n) from generate_series(1, 3) n;
select pg_temp.add('one', 'a' || n, 9) from generate_series(1, 3) n;
select pg_temp.add('two', 'b' || n) from generate_series(1, 3) n;
select pg_temp.ready();
select is(t.claim('build', 1), '{a1}', 'if two jobsets have used equally much, the other rules decide');
select t.pass('1 minute');
select is(t.claim('build', 2), '{b1,b2}', 'a running step counts up to now');
select t.pass('1 minute');
select t.finish(n) from unnest('{a1,b1,b2}'::text[]) n;
select is(pg_temp.queue(), '{a2,a3,b3}', 'ended steps count: jobset one has used 120 seconds, and jobset two 60 and 60');
update Jobsets set schedulingShares = 50 where name = 'one';
select is(pg_temp.queue(), '{b3,a2,a3}', 'changed shares count at once');
update Jobsets set schedulingShares = 100 where name = 'one';
update Builds set globalPriority = 1 where id = t.id('b3');
select resolver.sync_builds();
select is(t.claim('build', 1), '{b3}', 'globalPriority comes before shares');
select t.finish('b3');
select t.work();

-- A day in which both jobsets always have something to do.
update Jobsets set schedulingShares = 300 where name = 'two';
select t.pass('2 days');
select t.derivation('x' || n), t.derivation('y' || n) from generate_series(1, 160) n;
select pg_temp.add('one', 'x' || n, 100) from generate_series(1, 160) n;
select pg_temp.add('two', 'y' || n) from generate_series(1, 160) n;
select pg_temp.ready();
create function pg_temp.build_for(p_steps integer) returns text language plpgsql as $$
declare
    v_name text[];
    v_one  integer := 0;
begin
    for i in 1..p_steps loop
        v_name := t.claim('build', 1);
        perform t.pass('10 minutes');
        perform t.finish(v_name[1]);
        v_one := v_one + (v_name[1] like 'x%')::integer;
    end loop;
    return v_one || ' of ' || p_steps;
end
$$;
select is(pg_temp.build_for(144), '36 of 144',
          'in a day of steps of ten minutes, a jobset with a quarter of all shares gets a quarter of the time');
select t.pass('2 days');
select is(pg_temp.build_for(8), '2 of 8', 'later the shares are the same, when earlier use does not count any more');
select is((select count(*) from resolver.jobset_use where hour < resolver.clock() - interval '25 hours'), 0::bigint,
          'use is kept for a day');
select results_eq(
    $$select j.name, round(sum(u.seconds)) from resolver.jobset_use u join Jobsets j on j.id = u.jobset
       where u.hour > resolver.clock() - interval '24 hours' group by j.name order by j.name$$,
    $$values ('one', 1200.0::double precision), ('two', 3600.0::double precision)$$, 'the use is the seconds of the steps');
select t.pass('2 days');
select t.work();

-- Aborted attempts count as use of the machine, too.
select t.derivation('aborted');
select pg_temp.add('one', 'aborted');
select pg_temp.ready();
select t.claim('build');
select t.pass('100 seconds');
delete from resolver.jobset_use;
select resolver.release_claims(t.worker_id(), array[t.lease('aborted', 'build')], 'test');
select results_eq('select seconds from resolver.jobset_use', 'values (100::double precision)', 'an aborted attempt counts');
select t.work();

-- Priorities reach derivations that are wanted already.
select t.derivation('p-lib');
select t.derivation('p-other');
select t.derivation('p-mid', '{p-lib}');
select t.derivation('p-top', '{p-mid}');
select pg_temp.add('one', 'p-other', 5);
select pg_temp.ready();
select pg_temp.add('one', 'p-top');
select pg_temp.ready();
update resolver.derivation_state set height = 9 where derivation = t.number('p-other');
select is(pg_temp.queue(), '{p-other,p-lib}', 'before the bump, the other derivation comes first');
update Builds set globalPriority = 1000 where id = t.id('p-top');
select pg_temp.ready();
select is(pg_temp.queue(), '{p-lib,p-other}', 'if a build is bumped, the derivations that it still needs come first');
select pg_temp.add('one', 'p-other', 0, 2000);
select pg_temp.ready();
select is(pg_temp.queue(), '{p-other,p-lib}', 'another build with a higher priority raises its derivation');
select pg_temp.add('two', 'p-lib');
select pg_temp.ready();
select is(pg_temp.queue(), '{p-other,p-lib}', 'a build with a lower priority lowers nothing');
select is((select array[global_priority, priority] from resolver.derivation_state where derivation = t.number('p-lib')), '{1000,0}',
          'a derivation has the highest priority of the builds that want it');
select t.finish('p-other');
select t.finish('p-lib');
select t.resolve('p-mid', 'r-p-mid');
update Builds set globalPriority = 3000 where id = t.id('p-top');
select pg_temp.ready();
select is((select global_priority from resolver.derivation_state where derivation = t.number('r-p-mid')), 3000,
          'a bump reaches the resolved derivation');
select t.work();

-- Heights.
select t.derivation('h1');
select t.derivation('h2', '{h1}');
select t.derivation('h3', '{h2,h1}');
select pg_temp.add('one', 'h3');
select pg_temp.ready();
select is(array[pg_temp.height('h1'), pg_temp.height('h2'), pg_temp.height('h3')], '{2,1,0}', 'the height is that of the longest chain');
select t.derivation('h4', '{h3}');
select t.derivation('h5', '{h4}');
select pg_temp.add('one', 'h5');
select pg_temp.ready();
select is(array[pg_temp.height('h1'), pg_temp.height('h2'), pg_temp.height('h3')], '{4,3,2}',
          'a longer chain raises the derivations that are wanted already');
select t.derivation('h-short', '{h1}');
select pg_temp.add('one', 'h-short');
select pg_temp.ready();
select is(pg_temp.height('h1'), 4, 'a shorter chain changes nothing');
select t.finish('h1');
select t.resolve('h2', 'r-h2');
select is(pg_temp.height('r-h2'), 3, 'a resolved derivation is as high as its follower');
select t.work();
select is((select count(*) from resolver.propagation), 0::bigint, 'no walk is left');

-- The cost of many builds on one graph.
create function pg_temp.updates() returns bigint language sql as $$
    select n_tup_upd from pg_stat_xact_user_tables where relid = 'resolver.derivation_state'::regclass
$$;
select t.derivation('g1');
select t.derivation('g' || n, array['g' || n - 1]) from generate_series(2, 100) n;
select t.derivation('u' || n, '{g100}') from generate_series(1, 400) n;
select pg_temp.add('one', 'g100');
select pg_temp.ready();
select set_config('t.updates', pg_temp.updates()::text, true);
select pg_temp.add('one', 'u' || n) from generate_series(1, 400) n;
select pg_temp.ready();
select cmp_ok(pg_temp.updates() - current_setting('t.updates')::bigint, '<', 2000::bigint,
              'with 400 builds on a chain of 100, the chain is written a few times, not 400 times');
select is(pg_temp.height('g1'), 100, 'the chain is one higher now');
select set_config('t.updates', pg_temp.updates()::text, true);
update Builds set globalPriority = 5000 where id in (select t.id('u' || n) from generate_series(1, 400) n);
select pg_temp.ready();
select cmp_ok(pg_temp.updates() - current_setting('t.updates')::bigint, '<', 2000::bigint,
              'if all builds are bumped, the chain is written a few times');
select is((select global_priority from resolver.derivation_state where derivation = t.number('g1')), 5000,
          'the priority reaches the end of the chain');
select resolver.cancel_build(t.id('u' || n)) from generate_series(1, 400) n;
select resolver.cancel_build(t.id('g100'));
select is(t.claim('build'), '{}', 'no build wants the chain any more');

-- A claim reads the heads of queues, however long they are.
create function pg_temp.fill(p_name text, p_jobset text, p_system text, p_number integer) returns void language sql as $$
    with d as (
        insert into resolver.derivation (drv, name, system, kind, machine_type)
        select md5(p_name || n) || '-' || p_name || '.drv', p_name, p_system, 'floating', resolver.machine_type_of(p_system, '{}', false, true)
          from generate_series(1, p_number) n
        returning derivation, machine_type
    )
    insert into resolver.derivation_state (derivation, stage, owner, jobset, machine_type, height, priority)
    select d.derivation, 'buildable', t.id('owner'), j.id, d.machine_type, d.derivation % 7, d.derivation % 100
      from d, Jobsets j where j.name = p_jobset
$$;
select t.derivation('owner', '{leaf}');
select t.derivation('leaf', p_system => 'other');
select pg_temp.add('one', 'owner');
select pg_temp.ready();
select pg_temp.fill('much', 'one', 'x86_64-linux', 20000);
select pg_temp.fill('more', 'two', 'x86_64-linux', 20000);
select pg_temp.fill('foreign', 'one', 'mips-linux', 20000);
analyze resolver.derivation_state;
create function pg_temp.read() returns bigint language sql as $$
    select idx_tup_fetch + seq_tup_read from pg_stat_xact_user_tables where relid = 'resolver.derivation_state'::regclass
$$;
select set_config('t.read', pg_temp.read()::text, true);
select is(cardinality(t.claim('build', 10)), 10, 'ten derivations are claimed, of 40,000 for this worker and 20,000 for other systems');
select cmp_ok(pg_temp.read() - current_setting('t.read')::bigint, '<', 300::bigint, 'the claim reads some rows, not the queue');
create function pg_temp.plan(p_query text) returns text language plpgsql as $$
declare
    v_line text;
    v_plan text := '';
begin
    for v_line in execute 'explain ' || p_query loop
        v_plan := v_plan || v_line;
    end loop;
    return v_plan;
end
$$;
create function pg_temp.plans() returns text language sql as $$
    select pg_temp.plan($q$select s.jobset, s.global_priority from resolver.derivation_state s
                            where s.stage = 'buildable' and s.owner > 0 and s.machine_type = 1 and s.jobset > 1
                            order by s.jobset, s.global_priority desc limit 1$q$)
        || pg_temp.plan($q$select s.derivation from resolver.derivation_state s
                            where s.stage = 'buildable' and s.owner > 0 and s.machine_type = 1 and s.jobset = 1 and s.global_priority = 0
                              and (s.not_before is null or s.not_before <= now()) and s.derivation <> all ('{1}')
                            order by s.height desc, s.priority desc, s.owner, s.derivation limit 10$q$)
$$;
select is((select count(*) from regexp_matches(pg_temp.plans(), 'using state_to_build', 'g')), 2::bigint,
          'with much to build, the claim uses the index');
select doesnt_match(pg_temp.plans(), 'Sort|Seq Scan', 'the plan has no sort, and reads no table from end to end');
select resolver.release_claims(t.worker_id(), array(select l.lease from resolver.lease l where l.closed_at is null), '');
delete from resolver.derivation_state s using resolver.derivation d
 where d.derivation = s.derivation and d.name in ('much', 'more', 'foreign') and s.owner = t.id('owner');
analyze resolver.derivation_state;
select is((select count(*) from regexp_matches(pg_temp.plans(), 'state_to_build', 'g')), 2::bigint,
          'with little to build, the claim uses the index');

-- A great many builds were cancelled: one claim looks at a bounded number of their derivations.
select t.derivation('away' || n) from generate_series(1, 50) n;
select pg_temp.add('one', 'away' || n) from generate_series(1, 50) n;
select t.derivation('stays');
select pg_temp.add('one', 'stays');
select pg_temp.ready();
select resolver.cancel_build(t.id('away' || n)) from generate_series(1, 50) n;
select is((select count(*) from resolver.derivation_state s join resolver.derivation d using (derivation)
            where s.stage = 'buildable' and s.owner > 0 and d.system = 'x86_64-linux'), 1::bigint,
          'derivations of cancelled builds leave the queue');
update resolver.derivation_state s set owner = t.id('away1'), jobset = 1
  from resolver.derivation d where d.derivation = s.derivation and d.name like 'away%';
select is(t.claim('build', 1), '{}', 'if they are still in the queue, a claim looks at a few of them');
select is((select count(*) from resolver.derivation_state s where s.stage = 'buildable' and s.owner = t.id('away1')), 47::bigint,
          'these leave the queue');
select is(t.claim('build', 100), '{stays}', 'a later claim gets the wanted derivation');
select t.finish('stays');
select resolver.cancel_build(t.id('owner'));

select * from t.done();
rollback;
