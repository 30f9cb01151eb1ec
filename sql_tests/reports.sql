-- status(), blocking_derivations(derivation), build_report(build), output_paths(drv), resolved_step: reports for people and commands.
\ir include/farm.sql

create function pg_temp.reason(p_name text) returns text language sql as $$
    select concat_ws(': ', t.named(h ->> 'drv'), h ->> 'stage', h ->> 'reason') from resolver.blocking_derivations(t.number(p_name)) h
$$;
select is(resolver.blocking_derivations(0), null, 'an unknown derivation has no reason');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select is(pg_temp.reason('c'), 'c: unloaded: waits for a worker to load it', 'a new root waits to be loaded');
select t.claim('load');
select is(pg_temp.reason('c'), 'c: unloaded: is being loaded', 'a claimed root is being loaded');
select resolver.register_derivations(jsonb_build_array(t.loaded('c')));
select t.load();
select is(pg_temp.reason('c'), 'a: buildable: waits for a worker to build it', 'the chain of waiting leads to a buildable derivation');
select t.claim('build');
select is(pg_temp.reason('c'), 'a: building: is being built', 'the chain leads to a running step');
select t.fail('a', 'transient', 3);
select is(pg_temp.reason('c'), 'a: buildable: is tried again at 12:01:00 UTC: a is broken', 'the chain leads to a back-off');
select is(resolver.build_report(t.id('c')) #>> '{held_up,reason}', 'is tried again at 12:01:00 UTC: a is broken',
          'the report of the build has the same reason');
select t.pass('1 minute');
select t.finish('a');
select is(pg_temp.reason('c'), 'b: resolvable: waits for a worker to resolve it', 'the chain leads to a resolvable derivation');
select t.claim('resolve');
select is(pg_temp.reason('c'), 'b: resolvable: is being resolved', 'a claimed derivation is being resolved');
select t.resolve('b', 'r-b');
select is(pg_temp.reason('c'), 'r-b: buildable: waits for a worker to build it', 'the chain leads to the resolved derivation');
select t.claim('build');
select is(jsonb_path_query_array(resolver.status(), '$.running[*].drv'), jsonb_build_array(t.drv('r-b')),
          'the status has the running steps');
select is(resolver.status() -> 'stages', '{"waiting": 1, "realised": 1, "resolved": 1, "building": 1}',
          'the status has the numbers of derivations by stage');
select is(resolver.status() #>> '{builds,0,held_up,reason}', 'is being built', 'the status has the reason for each build');
select is((resolver.status() ->> 'unfinished_builds')::integer, 1, 'the status has the number of unfinished builds');
select is(resolver.status() #>> '{workers,0,name}', 'worker', 'the status has the workers');
select t.finish('r-b');
select t.work();
select is(resolver.status() -> 'builds', '[]', 'no unfinished build is left');
select is(resolver.blocking_derivations(t.number('c')) ->> 'stage', 'realised', 'a realised derivation waits for nothing');

-- The report of a build.
select is(resolver.build_report(0), null, 'an unknown build has no report');
select ok(resolver.build_report(t.id('c')) @> '{"job": "c", "finished": true, "status": 0, "cached": false}',
          'the report has the end of the build');
select is(resolver.build_report(t.id('c')) -> 'outputs', jsonb_build_object('out', t.full(t.path('r-c'))), 'the report has the outputs');
select is((select array_agg(concat_ws(' ', s ->> 'stepnr', t.named(s ->> 'drv'), s ->> 'type', s ->> 'status', t.named(s ->> 'resolved')) order by nr)
             from jsonb_array_elements(resolver.build_report(t.id('c')) -> 'steps') with ordinality e (s, nr)),
          array['1 a 0 3', '2 a 0 0', '3 b 0 13 r-b', '4 r-b 0 0', '5 c 0 13 r-c', '6 r-c 0 0'], 'the report has the steps in order');
select is(resolver.build_report(t.id('c')) #> '{steps,2,filled_in}', jsonb_build_array(jsonb_build_array(t.drv('a'), 'out', t.path('a'))),
          'the report has the inputs that the resolution filled in');

-- A failed build.
select t.derivation('bad');
select t.want('bad', 'bad');
select t.load();
select t.fail('bad');
select is(resolver.build_report(t.id('bad')) ->> 'message', 'bad is broken', 'the report has the message of the failure');
select is((resolver.status() ->> 'failures')::integer, 1, 'the status has the number of failures in force');

-- A cut-off.
select t.derivation('cut', '{a}');
select t.want('cut', 'cut');
select t.load();
select t.resolve('cut', 'r-b');
select t.resolve('cut', 'r-b', array[t.path('r-b')]);
select is((resolver.build_report(t.id('cut')) #>> '{steps,1,built_by}')::integer, t.id('c'),
          'the report of a cut-off has the build that built the derivation');

-- output_paths.
select is(resolver.output_paths(t.drv('b')), jsonb_build_object('out', t.path('r-b')), 'for a base name the outputs are base names');
select is(resolver.output_paths(t.full(t.drv('b'))), jsonb_build_object('out', t.full(t.path('r-b'))),
          'for a full path the outputs are full paths');
select is(resolver.output_paths(t.drv('bad')), '{}', 'a derivation without valid outputs has none');
select is(resolver.output_paths('nonsense'), '{}', 'an unknown derivation has no outputs');

-- resolved_step.
select bag_eq($$select build, stepnr, terminal_build, terminal_stepnr from resolver.resolved_step$$,
              $$values (t.id('c'), 3, t.id('c'), 4), (t.id('c'), 5, t.id('c'), 6), (t.id('cut'), 1, t.id('cut'), 2)$$,
              'each resolved step leads to its terminal in the same build');

select * from t.done();
rollback;
