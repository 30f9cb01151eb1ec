-- register_derivations(reports): reports of load, from .drv files and from the store.
\ir include/farm.sql

select has_function('resolver', 'register_derivations', array['jsonb'], 'the plural form exists');

-- Facts.
select t.derivation('a', p_kind => 'input-addressed', p_outputs => '{out,dev}');
select t.derivation('b', '{"a^out,dev"}', 'floating', '{out,lib}', 'builtin', '{kvm}');
select t.want('b', 'b');
select t.claim('load');
select results_eq($$select * from resolver.register_derivations(jsonb_build_array(t.loaded('b')))$$,
                  $$values (t.lease('b', 'load'), 'done', null::text)$$, 'a derivation is reported');
select results_eq(
    $$select name, system, kind, features, prefer_local, must_resolve from resolver.derivation where derivation = t.number('b')$$,
    $$values ('b', 'builtin', 'floating', '{kvm}'::text[], false, true)$$, 'the values of the .drv are recorded');
select results_eq(
    $$select name, path, valid_since, is_wanted from resolver.output where derivation = t.number('b') order by name$$,
    $$values ('lib', null::text, null::timestamptz, true), ('out', null, null, true)$$, 'all outputs of a root are wanted');
select results_eq($$select input, outputs from resolver.dependency where derivation = t.number('b')$$,
                  $$values (t.number('a'), '{out,dev}'::text[])$$, 'the dependency is recorded');
select is(t.stage('b'), 'waiting', 'unloaded -> waiting');
select is(t.watches('b'), 'a', 'it watches its input');
select is(t.stage('a'), 'unloaded', 'the input is loaded next');
select results_eq($$select owner, priority from resolver.derivation_state where derivation = t.number('a')$$,
                  $$values (t.id('b'), 0)$$, 'the input is wanted for the same build');
select t.keep();
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b')))), 'already',
          'the same report is recognised');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b') || '{"system": "mips"}'))), 'refused',
          'another report for the same lease is refused');
select is((select outcome from resolver.register_derivations('[{"lease": 4711, "drv": "x"}]')), 'refused', 'an unknown lease is refused');
select is(t.changed(), '{}', 'these reports change nothing');
select t.claim('load');
select t.keep();
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b') || jsonb_build_object('lease', t.lease('a', 'load'))))),
          'refused', 'a report about another derivation than the claimed one is refused');
select is(t.changed(), '{}', 'the refused report changes nothing');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('a')))), 'done', 'the input is reported');
select is(t.stage('a'), 'buildable', 'unloaded -> buildable: it has no inputs');
select t.worker('kvm', '{x86_64-linux}', '{kvm}');
select t.claim('build');
select t.finish('a');
select t.resolve('b', 'r-b');
select t.claim('build', 100, 'kvm');
select t.finish('r-b');

-- One of two outputs is valid, and a dependent needs only this output.
select t.derivation('half', p_outputs => '{out,dev}');
select t.derivation('needs-dev', '{half^dev}');
select t.want('half', 'half');
select t.want('needs-dev', 'needs-dev');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('needs-dev')));
select is(t.watches('needs-dev'), 'half', 'the dependent waits for the input');
select resolver.register_derivations(jsonb_build_array(
    jsonb_set(t.loaded('half'), '{outputs,1}', jsonb_build_object('name', 'dev', 'path', t.path('half-dev'), 'valid', true))));
select is(t.stage('half') || ' ' || t.stage('needs-dev'), 'buildable resolvable',
          'the dependent goes on, even if the other output has to be built');
select t.resolve('needs-dev', 'r-needs-dev');
select t.finish('half', jsonb_build_object('out', t.path('half'), 'dev', t.path('half-dev')));
select t.finish('r-needs-dev');

-- Revoked claims.
select t.derivation('c');
select t.want('c', 'c');
select t.claim('load');
select resolver.release_claims(t.worker_id(), array[t.lease('c', 'load')], 'test');
select t.keep();
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('c')))), 'lease_lost',
          'a report for a released claim is refused');
select is(t.changed(), '{}', 'the refused report changes nothing');
select t.claim('load');
select results_eq(
    $$select outcome from resolver.register_derivations(jsonb_build_array(
          '{"lease": 0}'::jsonb, t.loaded('c') || '{"lease": null}', t.loaded('c'), t.loaded('c')))$$,
    $$values ('refused'), ('done'), ('already')$$, 'bad elements do not undo the good one');
select is(t.stage('c'), 'buildable', 'the good element is applied once');
select t.finish('c');

-- All stages that follow load.
select t.derivation('d1');
select t.derivation('d2', '{d1}');
select t.derivation('d3', '{d1}', 'input-addressed');
select t.derivation('d4', '{d1}', 'deferred');
select t.want('d1', 'd1');
select t.load();
select t.finish('d1');
select t.want('d2', 'd2');
select t.want('d3', 'd3');
select t.want('d4', 'd4');
select t.load();
select is(t.stage('d2'), 'resolvable', 'unloaded -> resolvable: the input is valid, and has to be filled in');
select is(t.stage('d4'), 'resolvable', 'a deferred derivation is resolvable as well');
select is(t.stage('d3'), 'buildable', 'unloaded -> buildable: an input-addressed one is built as it is');
select t.work();

-- Loading stops at valid outputs.
select t.derivation('v1', p_kind => 'input-addressed');
select t.derivation('v2', '{v1}', 'input-addressed', '{out,dev}');
select t.derivation('v3', '{v2}');
select t.store_has(t.path('v2'));
select t.want('v3', 'v3');
select t.load();
select is(t.stage('v2'), 'realised', 'unloaded -> realised: the wanted output is valid in the store');
select is(t.stage('v3'), 'resolvable', 'the output is enough for the dependent');
select is(t.number('v1'), null, 'the inputs of a realised derivation are not loaded');
select is(t.steps('v3'), '{1: v2 found}', 'the build has a row of type 1 for the output');
select results_eq(
    $$select output, path, source, build from resolver.realisation where derivation = t.number('v2')$$,
    $$values ('out', t.path('v2'), 'local', t.id('v3'))$$, 'the trace has the output');
select is((select array_agg(name || ' ' || (path is not null) order by name) from BuildStepOutputs where build = t.id('v3')),
          '{"dev false","out true"}', 'the row has the paths of the valid outputs');
select t.work();
select t.want('v2', 'v2');
select t.load();
select is(t.stage('v2'), 'waiting', 'if a root wants all outputs later, the derivation is opened again');
select is(t.stage('v1'), 'buildable', 'the inputs are loaded now');
select t.work();
select is(t.ended('v2'), 'status 0', 'the root is built');
select t.derivation('v4', '{v2^dev}');
select t.want('v4', 'v4');
select t.load();
select is(t.stage('v4'), 'resolvable', 'a realised derivation is not loaded again for a dependent');
select t.work();

select t.derivation('n1', p_kind => 'input-addressed', p_outputs => '{out,dev}');
select t.derivation('n2', '{n1}');
select t.derivation('n3', '{n1^dev}');
select t.store_has(t.path('n1'));
select t.want('n2', 'n2', 5);
select t.load();
select t.want('n3', 'n3');
select t.load();
select is(t.stage('n1') || ' ' || t.stage('n3'), 'buildable waiting',
          'a dependent opens the derivation again, even if a build with a higher priority needs less');
select is(t.stage('n2'), 'resolvable', 'the build that needs less goes on');
select t.work();
select is(t.ended('n2') || ', ' || t.ended('n3'), 'status 0, status 0', 'both builds succeed');

-- A root that is valid already.
select t.derivation('w', p_kind => 'fixed');
select t.store_has(t.path('w'));
select t.want('w', 'w');
select t.load();
select is(t.ended('w'), 'status 0 cached', 'the build ends as cached');
select is(t.steps('w'), '{1: w found}', 'the outputs were unknown until now, so the build has a row of type 1');
select is(t.outputs('w'), jsonb_build_object('out', t.full(t.path('w'))), 'the build has its outputs');
select results_eq($$select size, closureSize, startTime = stopTime, startTime > 0 from Builds where id = t.id('w')$$,
                  $$values (100::bigint, 300::bigint, true, true)$$, 'the build has its sizes and times');
select t.want('w2', 'w');
select is(t.stage('w'), 'unloaded', 'realised -> unloaded for a second build: load checks the outputs first');
select t.load();
select is(t.ended('w2'), 'status 0 cached', 'the second build ends as cached');
select is(t.steps('w2'), '{}', 'the second build has no rows, since no output was new');
select t.store_loses(t.path('w'));
select t.want('w3', 'w');
select t.load();
select is(t.stage('w'), 'buildable', 'if the outputs are lost, the derivation is built again');
select isnt((select ceased_at from resolver.realisation where derivation = t.number('w')), null, 'the realisation in the trace has ceased');
select is(t.ended('w3'), 'unfinished', 'the old realisation does not end the build');
select t.finish('w');
select is(t.ended('w3'), 'status 0', 'the new attempt ends the build');

-- A floating derivation that the store has a realisation for.
select t.derivation('x1');
select t.derivation('x2', '{x1}');
select t.want('x2', 'x2');
select t.claim('load');
select is((select outcome from resolver.register_derivations(jsonb_build_array(
              jsonb_set(t.loaded('x2'), '{outputs}', jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('x2'), 'valid', true)))
              || jsonb_build_object('info', t.info())))), 'done', 'the store has the outputs of an unresolved derivation');
select is(t.ended('x2'), 'status 0 cached', 'these outputs end the build');
select is(t.number('x1'), null, 'the inputs are not needed');

-- Outputs that a dependent relied on are found lost.
select t.derivation('y1');
select t.derivation('y2', '{y1}');
select t.want('y1', 'y1');
select t.load();
select t.finish('y1');
select t.want('y2', 'y2');
select t.load();
select is(t.stage('y2'), 'resolvable', 'the dependent can be resolved');
select t.store_loses(t.path('y1'));
select t.want('y1-again', 'y1');
select t.load();
select is(t.stage('y2'), 'waiting', 'resolvable -> waiting: load, for another build, found the input lost');
select is(t.watches('y2'), 'y1', 'the dependent watches the input');
select t.work();
select is(t.ended('y2') || ', ' || t.ended('y1-again'), 'status 0, status 0', 'both builds succeed in the end');

-- The .drv is gone, or cannot be used.
insert into t.node values ('z2', 'floating', 'x86_64-linux', '{}', '{out}', '{gone}');
select t.build('gone', 'gone');
select t.want('z2', 'z2');
select t.load();
select is(t.stage('gone'), 'failed', 'unloaded -> failed: the .drv is not in the store');
select is(t.ended('gone'), 'status 3', 'a build whose .drv is not in the store is finished with status 3');
select is(t.steps('gone'), '{1: gone status 3}', 'the build has a step row');
select is((select errorMsg from BuildSteps where build = t.id('gone')), 'the .drv is not in the store', 'the row has the reason');
select is(t.ended('z2'), 'status 2', 'a dependent of the failed derivation cannot be built');
select is(t.steps('z2'), '{1: gone status 3 from gone}', 'the dependent build has the row');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('gone')))), 'already',
          'the same report is recognised');

-- An output that the input does not have.
select t.derivation('s1');
select t.derivation('s2', '{s1^nope}');
select t.derivation('s3', '{s2}');
select t.want('s2', 's2');
select t.want('s3', 's3');
select t.load();
select is(t.stage('s2'), 'failed', 'a derivation that names an output which its input does not have fails');
select is((select errorMsg from BuildSteps where build = t.id('s2')),
          format('it needs output ''nope'' of %s, which has no output of that name', t.full(t.drv('s1'))), 'the message names the input');
select is(t.ended('s2') || ', ' || t.ended('s3'), 'status 1, status 2', 'its build fails, and the dependent build too');
select t.want('s1', 's1');
select t.load();
select t.finish('s1');
select t.derivation('s4', '{s1^never}');
select t.want('s4', 's4');
select t.load();
select is(t.stage('s4'), 'failed', 'it fails even if the input was realised before');
select is(t.ended('s4'), 'status 1', 'the build of this derivation fails');
select is_empty($$select from resolver.output where derivation = t.number('s1') and name <> 'out'$$,
                'the missing output is not added to the input');

-- A known failure.
select t.derivation('f1');
select t.derivation('f2', '{f1}');
select t.derivation('f3', '{f2}');
select t.want('f1', 'f1');
select t.load();
select t.fail('f1');
select t.pass('1 hour');
select t.want('f3', 'f3');
select t.load();
select is(t.stage('f2') || ' ' || t.stage('f3'), 'waiting waiting', 'dependents of a failed derivation wait');
select is(t.ended('f3'), 'status 2 cached', 'the build ends at once, as cached');
select is(t.steps('f3'), '{1: f1 status 8 from f1}', 'the build has a row with status 8');

-- Watching the input that will take longest.
select t.derivation('k1');
select t.derivation('k2', '{k1}');
select t.derivation('k3', '{k1,k2}');
select t.want('k2', 'k2');
select t.load();
select t.want('k3', 'k3');
select t.load();
select is(t.watches('k3'), 'k2', 'of two missing inputs it watches the one that waits itself');
select t.work();

-- Wide and deep in one go; a diamond.
select t.derivation('top', '{l,r}');
select t.derivation('l', '{bottom}');
select t.derivation('r', '{bottom}');
select t.derivation('bottom');
select t.want('top', 'top', 3);
select t.load();
select is((select array_agg(priority) from resolver.derivation_state where derivation in (t.number('top'), t.number('l'), t.number('r'), t.number('bottom'))),
          '{3,3,3,3}', 'all derivations below a root have its priority');
select t.work();
select is(t.ended('top'), 'status 0', 'a build of a diamond succeeds');
select is((select count(*) from resolver.realisation where derivation = t.number('bottom')), 1::bigint, 'the shared input is built once');

-- Read ahead: elements without a lease.
select t.derivation('ahead-a');
select t.derivation('ahead-b', '{ahead-a}');
select t.derivation('ahead-c', '{ahead-b}');
select t.want('ahead-c', 'ahead-c');
select t.claim('load', 1);
select results_eq(
    $$select outcome from resolver.register_derivations(jsonb_build_array(
          t.loaded('ahead-c'), t.loaded('ahead-b') || '{"lease": null}', t.loaded('ahead-a') || '{"lease": null}'))$$,
    $$values ('done')$$, 'only claims are in the result');
select is(t.stage('ahead-a') || ' ' || t.stage('ahead-b'), 'buildable waiting', 'inputs of inputs were read ahead, and are loaded');
select is(t.claim('load'), '{}', 'a worker does not have to claim them');

select t.derivation('ahead-d');
select t.derivation('ahead-e', '{ahead-d}');
select t.want('ahead-e', 'ahead-e');
select t.want('ahead-d', 'ahead-d');
select t.keep();
select is_empty($$select * from resolver.register_derivations(jsonb_build_array(t.loaded('ahead-e') || '{"lease": null}'))$$,
                'an element without a lease is not in the result');
select is(t.changed(), '{}', 'a root is not read ahead: only its claim has the wanted outputs');
-- Known by name only, but failed; claimed; not wanted; loaded before.
select t.derivation('ahead-f');
select t.derivation('ahead-g', '{ahead-f}');
select t.derivation('ahead-h');
select t.derivation('ahead-i', '{ahead-h}');
select t.want('ahead-g', 'ahead-g');
select t.want('ahead-i', 'ahead-i');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('ahead-g'), t.loaded('ahead-i')));
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(
    jsonb_build_object('lease', t.lease('ahead-f', 'load'), 'drv', t.drv('ahead-f'),
                       'failed', '{"class": "unsupported", "status": 3, "message": "it can''t be read"}'::jsonb)));
select t.keep();
select resolver.register_derivations(jsonb_build_array(t.loaded('ahead-h') || '{"lease": null}'));
select is(t.changed(), '{}', 'a claimed derivation is not read ahead');
select resolver.release_claims(t.worker_id(), array[t.lease('ahead-h', 'load')], 'test');
update resolver.derivation_state set owner = null where derivation = t.number('ahead-h');
select t.keep();
select resolver.register_derivations(jsonb_build_array(t.loaded('ahead-f') || '{"lease": null}', t.loaded('ahead-h') || '{"lease": null}'));
select is(t.changed(), '{}', 'a failed derivation is not read ahead, nor one that no build wants');
update resolver.derivation_state set owner = t.id('ahead-i') where derivation = t.number('ahead-h');
select t.load();
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('ahead-h'), 'name', 'out', 'path', t.path('ahead-h'))));
select resolver.invalidate_paths(array[t.path('ahead-h')]);
select is(t.stage('ahead-h'), 'unloaded', 'the derivation has to be loaded again');
select t.keep();
select resolver.register_derivations(jsonb_build_array(t.loaded('ahead-h') || '{"lease": null}'));
select is(t.changed(), '{}', 'a derivation with known outputs is not read ahead');
select t.load();
select is((select path from resolver.output where derivation = t.number('ahead-h')), t.path('ahead-h'), 'the known path stays');
select t.finish('ahead-h');
select t.resolve('ahead-i', 'r-ahead-i');
select t.finish('r-ahead-i');
select t.claim('load', 1);
select t.keep();
select is_empty($$select * from resolver.register_derivations(jsonb_build_array(t.loaded('ahead-b') || '{"lease": null}'))$$,
                'an element that was loaded before is not in the result');
select is(t.changed(), '{}', 'an element that was loaded before changes nothing');

-- If the build has a row of the path already, left by an old runner, it gets no second row; for another path, or in another build, it does.
select t.derivation(n, p_kind => 'input-addressed') from unnest('{had,moved,failed,elsewhere}'::text[]) n;
select t.derivation('on-them', '{had,moved,failed,elsewhere}', 'input-addressed');
select t.build('on-them', 'on-them');
select t.store_has(t.path(n)) from unnest('{had,moved,failed,elsewhere}'::text[]) n;
select t.build('not-mine', 'on-them', -1);
insert into BuildSteps (build, stepnr, type, drvPath, busy, status)
select t.id(x.job), x.nr, 0, t.full(t.drv(x.name)), 0, case when x.name = 'failed' then 1 else 0 end
  from (values ('on-them', 'had', 1), ('on-them', 'moved', 2), ('on-them', 'failed', 3), ('not-mine', 'elsewhere', 1)) x (job, name, nr);
insert into BuildStepOutputs (build, stepnr, name, path)
select t.id(x.job), x.nr, 'out', t.full(t.path(x.path))
  from (values ('on-them', 'had', 1), ('on-them', 'before', 2), ('on-them', 'failed', 3), ('not-mine', 'elsewhere', 1)) x (job, path, nr);
select resolver.sync_builds();
select t.load();
select is(t.steps('on-them') || t.steps('not-mine'),
          '{"1: had built","2: moved built","3: failed status 1","4: elsewhere found","5: moved found","6: failed found","1: elsewhere built"}',
          'the build has one row for each path');

-- A transient failure is tried again, after a back-off.
select t.derivation('flaky');
select t.want('flaky', 'flaky');
select t.claim('load');
create function pg_temp.fail_load() returns text language sql as $$
    select outcome from resolver.register_derivations(jsonb_build_array(jsonb_build_object(
        'lease', t.lease('flaky', 'load'), 'drv', t.drv('flaky'), 'failed', '{"class": "transient", "status": 3, "message": "no memory"}'::jsonb)))
$$;
select is(pg_temp.fail_load(), 'retried', 'a transient failure is retried');
select is(t.claim('load'), '{}', 'the derivation is not tried again at once');
select t.pass('1 minute');
select is(t.claim('load'), '{flaky}', 'the derivation is tried again after a minute');
select is(pg_temp.fail_load(), 'retried', 'a second transient failure is retried');
select t.pass('3 minutes');
select t.load();
select is((select tries from resolver.derivation_state where derivation = t.number('flaky')), 0::smallint, 'a success resets the tries');
select t.finish('flaky');

-- Very many inputs arrive in parts, under one claim.
select t.derivation('part' || n) from generate_series(1, 2500) n;
select t.derivation('many', array(select 'part' || n from generate_series(1, 2500) n));
select t.want('many', 'many');
select t.claim('load');
create function pg_temp.part(p_from integer, p_to integer) returns jsonb language sql as $$
    select t.loaded('many') || jsonb_build_object('inputs', (
        select jsonb_agg(i.input order by i.nr) from jsonb_array_elements(t.loaded('many') -> 'inputs') with ordinality i (input, nr)
         where i.nr between p_from and p_to))
$$;
select is((select outcome || ': ' || detail from resolver.register_derivations(jsonb_build_array(pg_temp.part(1, 2500)))),
          'refused: it has more than 1000 inputs: report them in parts, all but the last with "more"',
          'too many inputs in one report are refused');
select is(array(select (select outcome from resolver.register_derivations(jsonb_build_array(pg_temp.part(f, f + 999) || '{"more": true}')))
                  from unnest('{1,1001,1}'::integer[]) f), '{done,done,done}', 'parts are accepted, even if one is sent twice');
select is(t.stage('many') || ' ' || (select count(*) from resolver.dependency where derivation = t.number('many')), 'unloaded 2000',
          'the derivation is not loaded yet');
select is((select outcome from resolver.register_derivations(jsonb_build_array(pg_temp.part(2001, 2500)))), 'done',
          'the last part is accepted');
select is(t.stage('many'), 'waiting', 'the derivation waits for its inputs');
select t.go_on();
select is((select count(*) from resolver.derivation_state s join resolver.derivation d using (derivation) where d.name is null and s.owner = t.id('many')
              and d.drv like '%-part%'), 2500::bigint, 'all inputs are wanted');
select is((select in_order from resolver.watch where derivation = t.number('many')), true,
          'the derivation goes through its inputs in the order of their numbers');
select t.load();
create function pg_temp.finish_all() returns void language plpgsql as $$
declare
    v_names text[];
begin
    loop
        v_names := t.claim('build', 50);
        exit when v_names = '{}';
        perform resolver.finish_steps((select jsonb_agg(t.success(n)) from unnest(v_names) n));
        perform t.go_on();
    end loop;
end
$$;
select (t.claim('build', 1))[1] as broken
\gset
select t.fail(:'broken');
select t.go_on();
select is(t.ended('many'), 'status 2', 'a failed input ends the build, even if the derivation watches another one');
select t.pass('1 minute');
select resolver.restart_build(t.id('many'));
select t.go_on();
select t.load();
select pg_temp.finish_all();
select is(t.stage('many'), 'resolvable', 'when all inputs are valid, the derivation is resolvable');
select resolver.invalidate_paths(array[t.path('part7')]);
select t.go_on();
select is(t.watches('many'), 'part7', 'the derivation watches a lost input again');
select t.load();
select pg_temp.finish_all();
select is(t.stage('many'), 'resolvable', 'when the input is valid again, the derivation is resolvable');
select t.claim('resolve');
select is((select t.claimed('many', 'resolve') -> 'inputs'), 'null', 'a claim does not list that many inputs');
select is((select count(*) from jsonb_object_keys(resolver.claimed_inputs(t.lease('many', 'resolve')))), 2500::bigint,
          'claimed_inputs() has all inputs');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('many', 'r-many') || jsonb_build_object('samples', (
            select jsonb_agg(jsonb_build_array(x -> 0, x -> 1, 'odd')) from jsonb_array_elements(t.resolution('many', 'r-many') -> 'samples') x))))),
          'stale', 'samples of other paths are stale, however many');
select is_empty($$select from resolver.resolution where derivation = t.number('many')$$, 'stale samples leave no resolution');
select t.claim('resolve');
select t.resolution('many', 'r-many') as report
\gset
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(:'report'::jsonb))), 'done', 'the right samples are accepted');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(:'report'::jsonb))), 'already', 'the same report is recognised');
select is((select cardinality(inputs) || ' ' || t.named(d.drv) from resolver.resolution r join resolver.derivation d on d.derivation = r.resolved
            where r.derivation = t.number('many')), '2500 r-many', 'the resolution is recorded');
select t.finish('r-many');
select is(t.ended('many'), 'status 0', 'the build succeeds');

select * from t.done();
rollback;
