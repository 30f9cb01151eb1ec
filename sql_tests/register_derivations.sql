-- register_derivations(reports): what load found in .drv files and in the store.
\ir include/farm.sql

select has_function('resolver', 'register_derivations', array['jsonb'], 'the plural form is the only one');

-- Facts.
select t.derivation('a', p_kind => 'input-addressed', p_outputs => '{out,dev}');
select t.derivation('b', '{"a^out,dev"}', 'floating', '{out,lib}', 'builtin', '{kvm}');
select t.want('b', 'b');
select t.claim('load');
select results_eq($$select * from resolver.register_derivations(jsonb_build_array(t.loaded('b')))$$,
                  $$values (t.lease('b', 'load'), 'done', null::text)$$, 'a derivation is reported');
select results_eq(
    $$select name, system, kind, features, prefer_local, must_resolve from resolver.derivation where derivation = t.number('b')$$,
    $$values ('b', 'builtin', 'floating', '{kvm}'::text[], false, true)$$, 'what its .drv says is recorded');
select results_eq(
    $$select name, path, valid_since, is_wanted from resolver.output where derivation = t.number('b') order by name$$,
    $$values ('lib', null::text, null::timestamptz, true), ('out', null, null, true)$$, 'all outputs of a root are wanted');
select results_eq($$select input, outputs from resolver.dependency where derivation = t.number('b')$$,
                  $$values (t.number('a'), '{out,dev}'::text[])$$, 'so is the dependency');
select is(t.stage('b'), 'waiting', 'unloaded -> waiting');
select is(t.watches('b'), 'a', 'for its input');
select is(t.stage('a'), 'unloaded', 'which is to be loaded next');
select results_eq($$select owner, priority from resolver.derivation_state where derivation = t.number('a')$$,
                  $$values (t.id('b'), 0)$$, 'on behalf of the same build');
select t.keep();
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b')))), 'already', 'the same report again');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b') || '{"system": "mips"}'))), 'refused',
          'another report for the same lease');
select is((select outcome from resolver.register_derivations('[{"lease": 4711, "drv": "x"}]')), 'refused', 'a lease that never was');
select is(t.changed(), '{}', 'change nothing');
select t.claim('load');
select t.keep();
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('b') || jsonb_build_object('lease', t.lease('a', 'load'))))),
          'refused', 'a report about another derivation than the claimed one is refused');
select is(t.changed(), '{}', 'and changes nothing');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('a')))), 'done', 'the input');
select is(t.stage('a'), 'buildable', 'unloaded -> buildable: it has no inputs');
select t.worker('kvm', '{x86_64-linux}', '{kvm}');
select t.claim('build');
select t.finish('a');
select t.resolve('b', 'r-b');
select t.claim('build', 100, 'kvm');
select t.finish('r-b');

-- One of two outputs is there, and that is all that a dependent needs.
select t.derivation('half', p_outputs => '{out,dev}');
select t.derivation('needs-dev', '{half^dev}');
select t.want('half', 'half');
select t.want('needs-dev', 'needs-dev');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('needs-dev')));
select is(t.watches('needs-dev'), 'half', 'it waits for the input');
select resolver.register_derivations(jsonb_build_array(
    jsonb_set(t.loaded('half'), '{outputs,1}', jsonb_build_object('name', 'dev', 'path', t.path('half-dev'), 'valid', true))));
select is(t.stage('half') || ' ' || t.stage('needs-dev'), 'buildable resolvable', 'and is told, though the other output has to be built');
select t.resolve('needs-dev', 'r-needs-dev');
select t.finish('half', jsonb_build_object('out', t.path('half'), 'dev', t.path('half-dev')));
select t.finish('r-needs-dev');

-- Claims that were taken back.
select t.derivation('c');
select t.want('c', 'c');
select t.claim('load');
select resolver.release_claims(t.worker_id(), array[t.lease('c', 'load')], 'test');
select t.keep();
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('c')))), 'lease_lost', 'a claim that was given back');
select is(t.changed(), '{}', 'changes nothing');
select t.claim('load');
select results_eq(
    $$select outcome from resolver.register_derivations(jsonb_build_array(
          '{"lease": 0}'::jsonb, t.loaded('c') || '{"lease": null}', t.loaded('c'), t.loaded('c')))$$,
    $$values ('refused'), ('done'), ('already')$$, 'bad elements do not undo the good one');
select is(t.stage('c'), 'buildable', 'which is applied once');
select t.finish('c');

-- All that it can become.
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
select is(t.stage('d2'), 'resolvable', 'unloaded -> resolvable: its input is there, and has to be filled in');
select is(t.stage('d4'), 'resolvable', 'the same for a deferred one');
select is(t.stage('d3'), 'buildable', 'unloaded -> buildable: an input-addressed one is built as it is');
select t.work();

-- Found valid: loading stops there.
select t.derivation('v1', p_kind => 'input-addressed');
select t.derivation('v2', '{v1}', 'input-addressed', '{out,dev}');
select t.derivation('v3', '{v2}');
select t.store_has(t.path('v2'));
select t.want('v3', 'v3');
select t.load();
select is(t.stage('v2'), 'realised', 'unloaded -> realised: the output that is wanted is valid in the store');
select is(t.stage('v3'), 'resolvable', 'which is enough for its dependent');
select is(t.number('v1'), null, 'its inputs are not even looked at');
select is(t.steps('v3'), '{1: v2 found}', 'the build has a row of type 1 that says so');
select results_eq(
    $$select output, path, source, build from resolver.realisation where derivation = t.number('v2')$$,
    $$values ('out', t.path('v2'), 'local', t.id('v3'))$$, 'the trace has what was found');
select is((select array_agg(name || ' ' || (path is not null) order by name) from BuildStepOutputs where build = t.id('v3')),
          '{"dev false","out true"}', 'with the paths of the outputs that are valid');
select t.work();
select t.want('v2', 'v2');
select t.load();
select is(t.stage('v2'), 'waiting', 'a later, wider wish re-opens it: a root wants all outputs');
select is(t.stage('v1'), 'buildable', 'and now its inputs are looked at');
select t.work();
select is(t.ended('v2'), 'status 0', 'and it is built');
select t.derivation('v4', '{v2^dev}');
select t.want('v4', 'v4');
select t.load();
select is(t.stage('v4'), 'resolvable', 'what is realised already is not looked at again for a dependent');
select t.work();

select t.derivation('n1', p_kind => 'input-addressed', p_outputs => '{out,dev}');
select t.derivation('n2', '{n1}');
select t.derivation('n3', '{n1^dev}');
select t.store_has(t.path('n1'));
select t.want('n2', 'n2', 5);
select t.load();
select t.want('n3', 'n3');
select t.load();
select is(t.stage('n1') || ' ' || t.stage('n3'), 'buildable waiting', 'so does that of a dependent, though a more urgent build is content');
select is(t.stage('n2'), 'resolvable', 'which does not mind');
select t.work();
select is(t.ended('n2') || ', ' || t.ended('n3'), 'status 0, status 0', 'both are built');

-- A root that is valid already.
select t.derivation('w', p_kind => 'fixed');
select t.store_has(t.path('w'));
select t.want('w', 'w');
select t.load();
select is(t.ended('w'), 'status 0 cached', 'the build ends as cached');
select is(t.steps('w'), '{1: w found}', 'its outputs were unknown until now: a row of type 1');
select is(t.outputs('w'), jsonb_build_object('out', t.full(t.path('w'))), 'outputs');
select results_eq($$select size, closureSize, startTime = stopTime, startTime > 0 from Builds where id = t.id('w')$$,
                  $$values (100::bigint, 300::bigint, true, true)$$, 'sizes and times');
select t.want('w2', 'w');
select is(t.stage('w'), 'unloaded', 'realised -> unloaded for a second build: look before trusting');
select t.load();
select is(t.ended('w2'), 'status 0 cached', 'it ends as cached');
select is(t.steps('w2'), '{}', 'without rows: nothing was news');
select t.store_loses(t.path('w'));
select t.want('w3', 'w');
select t.load();
select is(t.stage('w'), 'buildable', 'the outputs have gone, load finds: it is built again');
select isnt((select ceased_at from resolver.realisation where derivation = t.number('w')), null, 'the trace knows that it ceased to be valid');
select is(t.ended('w3'), 'unfinished', 'history is no proof');
select t.finish('w');
select is(t.ended('w3'), 'status 0', 'then it ends');

-- A floating derivation that the store has a realisation for.
select t.derivation('x1');
select t.derivation('x2', '{x1}');
select t.want('x2', 'x2');
select t.claim('load');
select is((select outcome from resolver.register_derivations(jsonb_build_array(
              jsonb_set(t.loaded('x2'), '{outputs}', jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('x2'), 'valid', true)))
              || jsonb_build_object('info', t.info())))), 'done', 'Nix knew the outputs of an unresolved derivation');
select is(t.ended('x2'), 'status 0 cached', 'that is enough for its build');
select is(t.number('x1'), null, 'inputs are not needed');

-- Outputs that are found gone while a dependent relied on them.
select t.derivation('y1');
select t.derivation('y2', '{y1}');
select t.want('y1', 'y1');
select t.load();
select t.finish('y1');
select t.want('y2', 'y2');
select t.load();
select is(t.stage('y2'), 'resolvable', 'it could be resolved');
select t.store_loses(t.path('y1'));
select t.want('y1-again', 'y1');
select t.load();
select is(t.stage('y2'), 'waiting', 'until load, for another build, found the input gone: resolvable -> waiting');
select is(t.watches('y2'), 'y1', 'for the input');
select t.work();
select is(t.ended('y2') || ', ' || t.ended('y1-again'), 'status 0, status 0', 'both succeed in the end');

-- The .drv is gone, or can't be used.
insert into t.node values ('z2', 'floating', 'x86_64-linux', '{}', '{out}', '{gone}');
select t.build('gone', 'gone');
select t.want('z2', 'z2');
select t.load();
select is(t.stage('gone'), 'failed', 'unloaded -> failed: the .drv is not there');
select is(t.ended('gone'), 'status 3', 'a build whose .drv is not in the store is finished with status 3');
select is(t.steps('gone'), '{1: gone status 3}', 'a row tells');
select is((select errorMsg from BuildSteps where build = t.id('gone')), 'the .drv is not in the store', 'the reason');
select is(t.ended('z2'), 'status 2', 'what depends on it can''t be built');
select is(t.steps('z2'), '{1: gone status 3 from gone}', 'for that reason');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('gone')))), 'already', 'reported twice');

-- An output that the input does not have.
select t.derivation('s1');
select t.derivation('s2', '{s1^nope}');
select t.derivation('s3', '{s2}');
select t.want('s2', 's2');
select t.want('s3', 's3');
select t.load();
select is(t.stage('s2'), 'failed', 'a derivation names an output that its input does not have: it failed');
select is((select errorMsg from BuildSteps where build = t.id('s2')),
          format('it needs output ''nope'' of %s, which has no output of that name', t.full(t.drv('s1'))), 'the message names the input');
select is(t.ended('s2') || ', ' || t.ended('s3'), 'status 1, status 2', 'its build fails, and what depends on it');
select t.want('s1', 's1');
select t.load();
select t.finish('s1');
select t.derivation('s4', '{s1^never}');
select t.want('s4', 's4');
select t.load();
select is(t.stage('s4'), 'failed', 'also when the input was loaded, and realised, before');
select is(t.ended('s4'), 'status 1', 'its build fails');
select is_empty($$select from resolver.output where derivation = t.number('s1') and name <> 'out'$$, 'no such output comes to be');

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
select is(t.stage('f2') || ' ' || t.stage('f3'), 'waiting waiting', 'what depends on what failed waits');
select is(t.ended('f3'), 'status 2 cached', 'and the build ends at once');
select is(t.steps('f3'), '{1: f1 status 8 from f1}', 'as a cached failure');

-- Watching the input that will take longest.
select t.derivation('k1');
select t.derivation('k2', '{k1}');
select t.derivation('k3', '{k1,k2}');
select t.want('k2', 'k2');
select t.load();
select t.want('k3', 'k3');
select t.load();
select is(t.watches('k3'), 'k2', 'of two inputs that are not there it watches the one that waits itself');
select t.work();

-- Wide and deep in one go; a diamond.
select t.derivation('top', '{l,r}');
select t.derivation('l', '{bottom}');
select t.derivation('r', '{bottom}');
select t.derivation('bottom');
select t.want('top', 'top', 3);
select t.load();
select is((select array_agg(priority) from resolver.derivation_state where derivation in (t.number('top'), t.number('l'), t.number('r'), t.number('bottom'))),
          '{3,3,3,3}', 'all below a root are as urgent as it is');
select t.work();
select is(t.ended('top'), 'status 0', 'a diamond builds');
select is((select count(*) from resolver.realisation where derivation = t.number('bottom')), 1::bigint, 'its bottom once');

-- Read ahead: elements without a lease.
select t.derivation('ahead-a');
select t.derivation('ahead-b', '{ahead-a}');
select t.derivation('ahead-c', '{ahead-b}');
select t.want('ahead-c', 'ahead-c');
select t.claim('load', 1);
select results_eq(
    $$select outcome from resolver.register_derivations(jsonb_build_array(
          t.loaded('ahead-c'), t.loaded('ahead-b') || '{"lease": null}', t.loaded('ahead-a') || '{"lease": null}'))$$,
    $$values ('done')$$, 'only claims are answered');
select is(t.stage('ahead-a') || ' ' || t.stage('ahead-b'), 'buildable waiting', 'inputs of inputs were read ahead, and are loaded');
select is(t.claim('load'), '{}', 'so that nobody has to claim them');

select t.derivation('ahead-d');
select t.derivation('ahead-e', '{ahead-d}');
select t.want('ahead-e', 'ahead-e');
select t.want('ahead-d', 'ahead-d');
select t.keep();
select is_empty($$select * from resolver.register_derivations(jsonb_build_array(t.loaded('ahead-e') || '{"lease": null}'))$$,
                'a root is not answered');
select is(t.changed(), '{}', 'nor read ahead: only a claim tells what a root needs');
-- Known by name only, but failed; claimed; not wanted by anybody; loaded before.
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
select is(t.changed(), '{}', 'nor what is claimed: its claim tells');
select resolver.release_claims(t.worker_id(), array[t.lease('ahead-h', 'load')], 'test');
update resolver.derivation_state set owner = null where derivation = t.number('ahead-h');
select t.keep();
select resolver.register_derivations(jsonb_build_array(t.loaded('ahead-f') || '{"lease": null}', t.loaded('ahead-h') || '{"lease": null}'));
select is(t.changed(), '{}', 'nor what could not be loaded, nor what nobody wants');
update resolver.derivation_state set owner = t.id('ahead-i') where derivation = t.number('ahead-h');
select t.load();
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('ahead-h'), 'name', 'out', 'path', t.path('ahead-h'))));
select resolver.invalidate_paths(array[t.path('ahead-h')]);
select is(t.stage('ahead-h'), 'unloaded', 'it is to be loaded again');
select t.keep();
select resolver.register_derivations(jsonb_build_array(t.loaded('ahead-h') || '{"lease": null}'));
select is(t.changed(), '{}', 'but not by who does not know what is on record');
select t.load();
select is((select path from resolver.output where derivation = t.number('ahead-h')), t.path('ahead-h'), 'the path that it had is remembered');
select t.finish('ahead-h');
select t.resolve('ahead-i', 'r-ahead-i');
select t.finish('r-ahead-i');
select t.claim('load', 1);
select t.keep();
select is_empty($$select * from resolver.register_derivations(jsonb_build_array(t.loaded('ahead-b') || '{"lease": null}'))$$,
                'what was loaded before');
select is(t.changed(), '{}', 'is left alone');

-- What this build has a row of already, as an old runner leaves it: no second one says so, but of another path, or in another build.
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
          '{"1: had built","2: moved built","3: failed status 1","4: elsewhere found","5: moved found","6: failed found","1: elsewhere built"}', 'a row for each path');

-- What fails and may pass is tried again, after a pause.
select t.derivation('flaky');
select t.want('flaky', 'flaky');
select t.claim('load');
create function pg_temp.fail_load() returns text language sql as $$
    select outcome from resolver.register_derivations(jsonb_build_array(jsonb_build_object(
        'lease', t.lease('flaky', 'load'), 'drv', t.drv('flaky'), 'failed', '{"class": "transient", "status": 3, "message": "no memory"}'::jsonb)))
$$;
select is(pg_temp.fail_load(), 'retried', 'a transient failure');
select is(t.claim('load'), '{}', 'is not tried again at once');
select t.pass('1 minute');
select is(t.claim('load'), '{flaky}', 'but after a minute');
select is(pg_temp.fail_load(), 'retried', 'and so on');
select t.pass('3 minutes');
select t.load();
select is((select tries from resolver.derivation_state where derivation = t.number('flaky')), 0::smallint, 'until it succeeds: then the count begins again');
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
          'refused: it has more than 1000 inputs: report them in parts, all but the last with "more"', 'not all at once');
select is(array(select (select outcome from resolver.register_derivations(jsonb_build_array(pg_temp.part(f, f + 999) || '{"more": true}')))
                  from unnest('{1,1001,1}'::integer[]) f), '{done,done,done}', 'parts, one of them twice');
select is(t.stage('many') || ' ' || (select count(*) from resolver.dependency where derivation = t.number('many')), 'unloaded 2000', 'it is not loaded yet');
select is((select outcome from resolver.register_derivations(jsonb_build_array(pg_temp.part(2001, 2500)))), 'done', 'the last one');
select is(t.stage('many'), 'waiting', 'then it is');
select t.go_on();
select is((select count(*) from resolver.derivation_state s join resolver.derivation d using (derivation) where d.name is null and s.owner = t.id('many')
              and d.drv like '%-part%'), 2500::bigint, 'all inputs are wanted');
select is((select in_order from resolver.watch where derivation = t.number('many')), true, 'it looks at them in the order of their numbers');
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
select is(t.ended('many'), 'status 2', 'one that fails ends it, though it looks at another one');
select t.pass('1 minute');
select resolver.restart_build(t.id('many'));
select t.go_on();
select t.load();
select pg_temp.finish_all();
select is(t.stage('many'), 'resolvable', 'when all are there it is ready');
select resolver.invalidate_paths(array[t.path('part7')]);
select t.go_on();
select is(t.watches('many'), 'part7', 'one that is lost is looked at again');
select t.load();
select pg_temp.finish_all();
select is(t.stage('many'), 'resolvable', 'and then it is ready again');
select t.claim('resolve');
select is((select t.claimed('many', 'resolve') -> 'inputs'), 'null', 'a claim does not list so many inputs');
select is((select count(*) from jsonb_object_keys(resolver.claimed_inputs(t.lease('many', 'resolve')))), 2500::bigint, 'they are asked for');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('many', 'r-many') || jsonb_build_object('samples', (
            select jsonb_agg(jsonb_build_array(x -> 0, x -> 1, 'odd')) from jsonb_array_elements(t.resolution('many', 'r-many') -> 'samples') x))))),
          'stale', 'samples of other paths are stale, however many');
select is_empty($$select from resolver.resolution where derivation = t.number('many')$$, 'and leave nothing behind');
select t.claim('resolve');
select t.resolution('many', 'r-many') as report
\gset
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(:'report'::jsonb))), 'done', 'the right ones are taken');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(:'report'::jsonb))), 'already', 'once');
select is((select cardinality(inputs) || ' ' || t.named(d.drv) from resolver.resolution r join resolver.derivation d on d.derivation = r.resolved
            where r.derivation = t.number('many')), '2500 r-many', 'the resolution is on record');
select t.finish('r-many');
select is(t.ended('many'), 'status 0', 'and it is built');

select * from t.done();
rollback;
