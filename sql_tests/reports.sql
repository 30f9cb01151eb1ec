-- status(), blocking_derivations(derivation), build_report(build), output_paths(drv), resolved_step: what people and commands read.
\ir include/farm.sql

create function pg_temp.reason(p_name text) returns text language sql as $$
    select concat_ws(': ', t.named(h ->> 'drv'), h ->> 'stage', h ->> 'reason') from resolver.blocking_derivations(t.number(p_name)) h
$$;
select is(resolver.blocking_derivations(0), null, 'nothing is known of an unknown derivation');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select is(pg_temp.reason('c'), 'c: unloaded: waits for a worker to load it', 'why is it not built yet? a root that is new');
select t.claim('load');
select is(pg_temp.reason('c'), 'c: unloaded: is being loaded', 'being loaded');
select resolver.register_derivations(jsonb_build_array(t.loaded('c')));
select t.load();
select is(pg_temp.reason('c'), 'a: buildable: waits for a worker to build it', 'the chain of waiting leads down');
select t.claim('build');
select is(pg_temp.reason('c'), 'a: building: is being built', 'to what runs');
select t.fail('a', 'transient', 3);
select is(pg_temp.reason('c'), 'a: buildable: is tried again at 12:01:00 UTC: a is broken', 'to a back-off');
select is(resolver.build_report(t.id('c')) #>> '{held_up,reason}', 'is tried again at 12:01:00 UTC: a is broken', 'the build''s report says it too');
select t.pass('1 minute');
select t.finish('a');
select is(pg_temp.reason('c'), 'b: resolvable: waits for a worker to resolve it', 'to what is to be resolved');
select t.claim('resolve');
select is(pg_temp.reason('c'), 'b: resolvable: is being resolved', 'being resolved');
select t.resolve('b', 'r-b');
select is(pg_temp.reason('c'), 'r-b: buildable: waits for a worker to build it', 'and from there to the resolution');
select t.claim('build');
select is(jsonb_path_query_array(resolver.status(), '$.running[*].drv'), jsonb_build_array(t.drv('r-b')), 'status: what runs');
select is(resolver.status() -> 'stages', '{"waiting": 1, "realised": 1, "resolved": 1, "building": 1}', 'derivations by stage');
select is(resolver.status() #>> '{builds,0,held_up,reason}', 'is being built', 'what holds up each build');
select is((resolver.status() ->> 'unfinished_builds')::integer, 1, 'how many are unfinished');
select is(resolver.status() #>> '{workers,0,name}', 'worker', 'the workers');
select t.finish('r-b');
select t.work();
select is(resolver.status() -> 'builds', '[]', 'no build is left');
select is(resolver.blocking_derivations(t.number('c')) ->> 'stage', 'realised', 'nothing holds it up any more');

-- The report of a build.
select is(resolver.build_report(0), null, 'there is no such build');
select ok(resolver.build_report(t.id('c')) @> '{"job": "c", "finished": true, "status": 0, "cached": false}', 'how it ended');
select is(resolver.build_report(t.id('c')) -> 'outputs', jsonb_build_object('out', t.full(t.path('r-c'))), 'its outputs');
select is((select array_agg(concat_ws(' ', s ->> 'stepnr', t.named(s ->> 'drv'), s ->> 'type', s ->> 'status', t.named(s ->> 'resolved')) order by nr)
             from jsonb_array_elements(resolver.build_report(t.id('c')) -> 'steps') with ordinality e (s, nr)),
          array['1 a 0 3', '2 a 0 0', '3 b 0 13 r-b', '4 r-b 0 0', '5 c 0 13 r-c', '6 r-c 0 0'], 'its steps, in order');
select is(resolver.build_report(t.id('c')) #> '{steps,2,filled_in}', jsonb_build_array(jsonb_build_array(t.drv('a'), 'out', t.path('a'))),
          'which inputs were filled in');

-- A failed one.
select t.derivation('bad');
select t.want('bad', 'bad');
select t.load();
select t.fail('bad');
select is(resolver.build_report(t.id('bad')) ->> 'message', 'bad is broken', 'why it failed');
select is((resolver.status() ->> 'failures')::integer, 1, 'failures in force');

-- A cut-off.
select t.derivation('cut', '{a}');
select t.want('cut', 'cut');
select t.load();
select t.resolve('cut', 'r-b');
select t.resolve('cut', 'r-b', array[t.path('r-b')]);
select is((resolver.build_report(t.id('cut')) #>> '{steps,1,built_by}')::integer, t.id('c'), 'what was cut off says which build had built it');

-- output_paths.
select is(resolver.output_paths(t.drv('b')), jsonb_build_object('out', t.path('r-b')), 'valid outputs, by name: base names for a base name');
select is(resolver.output_paths(t.full(t.drv('b'))), jsonb_build_object('out', t.full(t.path('r-b'))), 'full paths for a full path');
select is(resolver.output_paths(t.drv('bad')), '{}', 'none for what has none');
select is(resolver.output_paths('nonsense'), '{}', 'nor for what is unknown');

-- resolved_step.
select bag_eq($$select build, stepnr, terminal_build, terminal_stepnr from resolver.resolved_step$$,
              $$values (t.id('c'), 3, t.id('c'), 4), (t.id('c'), 5, t.id('c'), 6), (t.id('cut'), 1, t.id('cut'), 2)$$,
              'each resolved step leads to its terminal in the same build');

select * from t.done();
rollback;
