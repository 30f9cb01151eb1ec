-- The cost of a call does not grow with the history of a farm: beside a long history, no call reads more than a few hundred rows.
\ir include/farm.sql

-- A history of 10,000 builds: each was resolved, built, and ended. Some failed, for good or not for good.
create temporary table past as
select i, 10 * i + 1 as original, 10 * i + 2 as resolved, i + 1000000 as build, i % 10 = 0 as failed from generate_series(1, 10000) i;
insert into resolver.derivation (derivation, drv, name, system, kind, must_resolve, machine_type) overriding system value
select p.original, t.drv('past-' || p.i), 'past-' || p.i, 'x86_64-linux', 'floating', true, resolver.machine_type_of('x86_64-linux', '{}', false, true)
  from past p
union all
select p.resolved, t.drv('r-past-' || p.i), 'r-past-' || p.i, 'x86_64-linux', 'floating', false,
       resolver.machine_type_of('x86_64-linux', '{}', false, true)
  from past p;
insert into Builds (id, finished, timestamp, jobset_id, job, drvPath, system, buildStatus, isCachedBuild, startTime, stopTime)
select p.build, 1, 1, j.id, 'past-' || p.i, t.full(t.drv('past-' || p.i)), 'x86_64-linux', case when p.failed then 1 else 0 end, 0, 1, 2
  from past p, Jobsets j;
insert into BuildOutputs (build, name, path) select p.build, 'out', t.full(t.path('past-' || p.i)) from past p;
insert into BuildSteps (build, stepnr, type, drvPath, busy, status, startTime, stopTime, machine, system, resolvedDrvPath)
select p.build, 1, 0, t.full(t.drv('past-' || p.i)), 0, 13, 1, 2, '', 'x86_64-linux', t.drv('r-past-' || p.i) from past p
union all
select p.build, 2, 0, t.full(t.drv('r-past-' || p.i)), 0, case when p.failed then 1 else 0 end, 1, 2, '', 'x86_64-linux', null from past p;
insert into BuildStepOutputs (build, stepnr, name, path) select p.build, 2, 'out', t.full(t.path('past-' || p.i)) from past p;
insert into resolver.goal (build, root, opened_at, ended_at, status, is_cached, cause, recorded_at)
select p.build, p.original, '2025-01-01', '2025-01-01', case when p.failed then 1 else 0 end, false,
       case when p.failed then p.resolved end, '2025-01-01'
  from past p;
insert into resolver.worker (name, verbs, systems, features, started_at, heartbeat, gone_at)
select 'past-' || i, '{load,resolve,build}', '{x86_64-linux}', '{}', '2025-01-01', '2025-01-01', '2025-01-02' from generate_series(1, 2000) i;
insert into resolver.lease (derivation, verb, worker, build, stepnr, opened_at, closed_at, outcome, digest)
select case v.verb when 'build' then p.resolved else p.original end, v.verb, (select max(worker) from resolver.worker),
       case v.verb when 'build' then p.build end, case v.verb when 'build' then 2 end, '2025-01-01', '2025-01-01', 'done', md5(p.i::text)
  from past p, unnest('{load,resolve,build}'::text[]) v (verb);
insert into resolver.derivation_state (derivation, stage, owner, jobset, resolved_to, failed_dependency)
select p.original, case when p.failed then 'failed' else 'realised' end, p.build, j.id, case when not p.failed then p.resolved end,
       case when p.failed then p.resolved end
  from past p, Jobsets j
union all
select p.resolved, case when p.failed then 'failed' else 'realised' end, p.build, j.id, null, null from past p, Jobsets j;
insert into resolver.output (derivation, name, path, valid_since, is_wanted)
select d, 'out', case when not p.failed then t.path('past-' || p.i) end, case when not p.failed then timestamptz '2025-01-01' end, true
  from past p, unnest(array[p.original, p.resolved]) d;
insert into resolver.dependency (derivation, input, outputs)
select p.original, q.original, '{out}' from past p join past q on q.i = p.i - 1 and not q.failed;
insert into resolver.resolution (derivation, resolved, inputs, outputs, paths, build, stepnr, time, released_at)
select p.original, p.resolved, '{}', '{}', '{}', p.build, 1, '2025-01-01', case when p.failed then timestamptz '2025-01-01' end from past p;
insert into resolver.realisation (derivation, output, path, source, build, stepnr, seconds, time)
select p.resolved, 'out', t.path('past-' || p.i), 'built', p.build, 2, 1, '2025-01-01' from past p where not p.failed;
insert into resolver.failure (derivation, class, status, build, stepnr, time)
select p.resolved, 'builder', 1, p.build, 2, '2025-01-01' from past p where p.failed;
update NrBuilds set count = (select count(*) from Builds where finished = 1) where what = 'finished';
select setval(pg_get_serial_sequence('resolver.derivation', 'derivation'), 1000000);
analyze resolver.derivation, resolver.derivation_state, resolver.output, resolver.dependency, resolver.resolution,
    resolver.realisation, resolver.failure, resolver.goal, resolver.lease, resolver.worker, Builds, BuildSteps, BuildStepOutputs, BuildOutputs;

-- Rows that were read in this transaction, including rows that were not used.
create function pg_temp.read() returns bigint language sql as $$
    select sum(case c.relkind when 'r' then pg_stat_get_xact_tuples_returned(c.oid) else 0 end
               + pg_stat_get_xact_tuples_fetched(c.oid))::bigint
      from pg_class c
     where c.relkind in ('r', 'i') and c.relnamespace in ('resolver'::regnamespace, 'public'::regnamespace)
$$;
create function pg_temp.cheap(p_call text, p_what text) returns text language plpgsql as $$
declare
    v_before bigint := pg_temp.read();
    v_read   bigint;
begin
    execute p_call;
    v_read := pg_temp.read() - v_before;
    return ok(v_read < 1000, format('%s reads little (%s)', p_what, v_read));
end
$$;

create function pg_temp.claim(p_worker integer, p_verb text) returns void language sql as $$
    insert into t.claim (verb, name, lease, claim)
    select p_verb, t.named(c.drv), c.lease, to_jsonb(c) from resolver.claim_derivations(p_worker, p_verb, 100) c
$$;

-- A small farm beside it.
select t.worker_id() as worker
\gset
select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.derivation('bad');
select t.derivation('on-bad', '{bad}');
select t.build('c', 'c');
select t.build('on-bad', 'on-bad');
select pg_temp.cheap('select resolver.sync_builds()', 'sync_builds');
select pg_temp.cheap(format('select pg_temp.claim(%s, ''load'')', :worker), 'a claim for load');
select pg_temp.cheap($$select resolver.register_derivations((select jsonb_agg(t.loaded(n)) from unnest('{c,on-bad}'::text[]) n))$$,
                     'register_derivations');
select t.load();
select pg_temp.cheap(format('select pg_temp.claim(%s, ''load'')', :worker), 'a claim for load that finds nothing');
select pg_temp.cheap(format('select pg_temp.claim(%s, ''resolve'')', :worker), 'a claim for resolve that finds nothing');
select pg_temp.cheap(format('select pg_temp.claim(%s, ''build'')', :worker), 'a claim for build');
select pg_temp.cheap($$select t.finish('a')$$, 'finish_steps');
select pg_temp.cheap(format('select pg_temp.claim(%s, ''resolve'')', :worker), 'a claim for resolve');
select pg_temp.cheap($$select t.resolve('b', 'r-b')$$, 'set_resolved_to');
select pg_temp.cheap($$select t.fail('bad')$$, 'fail_steps');
select pg_temp.cheap(format('select resolver.heartbeat(%s)', :worker), 'heartbeat');
select pg_temp.cheap($$select resolver.sweep()$$, 'sweep');
select pg_temp.cheap($$select resolver.advance()$$, 'advance');
select pg_temp.cheap(format('select resolver.has_work(%s)', :worker), 'has_work');
select pg_temp.cheap(format('select resolver.release_claims(%s, array[t.lease(''r-b'', ''build'')], '''')', :worker), 'release_claims');
select pg_temp.cheap(format('select resolver.release_other_claims(%s, ''build'', ''{}'')', :worker), 'release_other_claims');
insert into BuildSteps (build, stepnr, type, drvPath, busy, startTime, system)
values (t.id('c'), 99, 0, t.full(t.drv('c')), 1, 1, 'x86_64-linux');
select pg_temp.cheap($$select resolver.sweep()$$, 'sweep, with a row of another program');
select pg_temp.cheap($$select resolver.restart_build(t.id('on-bad'))$$, 'restart_build');
delete from resolver.goal where build = 1000010;
update Builds set drvPath = t.full(t.drv('on-bad')), stopTime = 1800000000 where id = 1000010;
select pg_temp.cheap($$select resolver.restart_build(1000010)$$, 'restart_build of a build whose goal was pruned');
select t.id('c') as c
\gset
select pg_temp.cheap(format('select resolver.cancel_build(%s)', :c), 'cancel_build');
select pg_temp.cheap($$select resolver.end_builds()$$, 'end_builds');
select pg_temp.cheap($$select resolver.register_local_outputs(
    jsonb_build_array(jsonb_build_object('drv', t.drv('past-7'), 'name', 'out', 'path', t.path('past-7'))))$$, 'register_local_outputs');
select pg_temp.cheap($$select resolver.invalidate_paths(array[t.path('a')])$$, 'invalidate_paths');
select pg_temp.cheap($$select resolver.unneeded_roots(array[t.path('past-1'), t.path('a'), t.drv('b')])$$, 'unneeded_roots');
select pg_temp.cheap($$select resolver.register_worker('new', '{load}', '{x86_64-linux}', '{}', '/nix/store', 'one')$$, 'register_worker');
select pg_temp.cheap($$select resolver.deregister_worker((select max(worker) from resolver.worker))$$, 'deregister_worker');

-- Many builds on one graph: the rows read for each of them do not grow with their number. Each has a higher priority than the earlier ones,
-- so that priorities are propagated to the shared derivations many times. Builds was not analyzed after they were added.
create function pg_temp.until_done() returns void language plpgsql as $$
begin
    perform resolver.sync_builds();
    while resolver.sync_builds(p_all => false) or resolver.advance() loop
    end loop;
end
$$;
create function pg_temp.add(p_graph text, p_builds integer) returns void language plpgsql as $$
begin
    perform t.derivation(p_graph || '-shared-1');
    perform t.derivation(p_graph || '-shared-' || i, array[p_graph || '-shared-' || i - 1], 'input-addressed') from generate_series(2, 20) i;
    perform t.derivation(p_graph || '-' || i, array[p_graph || '-shared-20'], 'input-addressed') from generate_series(1, p_builds) i;
    perform t.build(p_graph || '-' || i, p_graph || '-' || i, i) from generate_series(1, p_builds) i;
    perform pg_temp.until_done();
    analyze resolver.goal, resolver.derivation_state;
    perform t.load();
    perform pg_temp.until_done();
end
$$;
create temporary table cost (what text, builds integer, rows bigint);
create function pg_temp.measure(p_what text, p_builds integer, p_call text) returns void language plpgsql as $$
declare
    v_before bigint := pg_temp.read();
begin
    execute p_call;
    insert into cost values (p_what, p_builds, (pg_temp.read() - v_before) / p_builds);
end
$$;
select resolver.deregister_worker((select max(worker) from resolver.worker));
select pg_temp.measure('adding', n, format('select pg_temp.add(''g%1$s'', %1$s)', n)) from unnest('{200,600}'::integer[]) n;
select pg_temp.measure('bumping', n, format('update Builds set globalPriority = id where job like ''g%s-%%''; select pg_temp.until_done()', n))
  from unnest('{200,600}'::integer[]) n;
select is((select count(*) from resolver.goal where ended_at is null), 800::bigint, '800 builds are open');
select pg_temp.measure('a tick', n, 'select resolver.sync_builds(p_all => false), resolver.advance()') from unnest('{1,1}'::integer[]) n;
select ok(max(c.rows) < 100, format('a tick that finds nothing reads little (%s)', max(c.rows))) from cost c where c.what = 'a tick';
delete from cost c where c.what = 'a tick';
select t.claim('build');
select pg_temp.measure('ending', n, format('select t.fail(''g%s-shared-1''); select pg_temp.until_done()', n)) from unnest('{200,600}'::integer[]) n;
select is((select count(*) from Builds where job ~ '^g[0-9]+-' and buildStatus = 2), 800::bigint, 'all builds have ended');
select ok((array_agg(c.rows order by c.builds desc))[1] < 1.5 * (array_agg(c.rows order by c.builds))[1],
          format('%s many builds on one graph reads as much for each as with few (%s)', c.what, string_agg(c.rows::text, ', ' order by c.builds)))
  from cost c group by c.what;

select * from t.done();
rollback;
