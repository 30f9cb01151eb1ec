-- incoherent_output, replaced_input, check_one_path: all consumers get one path, and the views show outputs that had two.
\ir include/farm.sql

-- A second path while the first is valid.
select t.derivation('moody', p_outputs => '{out,dev}');
select t.derivation('user', '{moody}');
select t.want('moody', 'moody');
select t.load();
select t.finish('moody');
select is_empty('select * from resolver.incoherent_output', 'an output with one path is not incoherent');
select t.pass('1 hour');
select resolver.invalidate_paths(array[t.path('moody-dev')]);
select t.store_loses(t.path('moody-dev'));
select t.want('again', 'moody');
select t.load();
select t.finish('moody', jsonb_build_object('out', t.path('moody-2'), 'dev', t.path('moody-dev')));
select t.load();
select results_eq('select * from resolver.incoherent_output',
    $$values (t.drv('moody'), 'out', t.path('moody'), t.id('moody'), 1, 'here', '2026-01-01 12:00:00+00'::timestamptz,
              t.path('moody-2'), t.id('again'), 1, 'here', '2026-01-01 13:00:00+00'::timestamptz)$$,
    'if a rebuild makes another path, the view has both paths, builds, steps, machines and times');
select is((select isNonDeterministic from BuildSteps where build = t.id('moody')), null,
          'the first step is not marked as non-deterministic');
select is((select isNonDeterministic from BuildSteps where build = t.id('again')), true, 'the second step is marked as non-deterministic');
select is(resolver.output_paths(t.drv('moody')) ->> 'out', t.path('moody'), 'the first path is served');
select is(t.outputs('again') ->> 'out', t.full(t.path('moody')), 'the build that made the second path gets the first path');
select t.want('user', 'user');
select t.load();
select t.claim('resolve');
select is(t.claimed('user', 'resolve') -> 'inputs' -> t.drv('moody') ->> 'out', t.path('moody'), 'a later dependent gets the first path');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              t.resolution('user', 'r-user') || jsonb_build_object('samples', jsonb_build_array(
                  jsonb_build_array(t.drv('moody'), 'out', t.path('moody-2'))))))), 'stale', 'a resolution with the second path is stale');
select t.resolve('user', 'r-user');
select t.finish('r-user');

-- Another component found a third path; paths that follow one another are not incoherent.
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object(
    'drv', t.drv('moody'), 'name', 'out', 'path', t.path('moody-3'))));
select results_eq('select other_path, other_machine from resolver.incoherent_output order by other_time, other_path',
    $$select * from (values (t.path('moody-2'), 'here'), (t.path('moody-3'), null)) v (path, machine) order by path = t.path('moody-3')$$,
    'a third path is compared with the served path');
select resolver.invalidate_paths(array[t.path('moody-2'), t.path('moody-3')]);
select results_eq($$select path, ceased_at is not null from resolver.realisation where derivation = t.number('moody') and output = 'out' order by 1$$,
    $$select * from (values (t.path('moody'), false), (t.path('moody-2'), true), (t.path('moody-3'), true)) v (path) order by path$$,
    'paths that were never served can be lost as well');
select is((select count(*) from resolver.incoherent_output), 2::bigint, 'incoherent outputs stay in the view after the loss');
select is(t.stage('moody'), 'realised', 'the derivation stays realised');

-- A worker finds another path in the store, when a derivation resolves to a realised one.
select t.derivation('one', '{moody}');
select t.derivation('two', '{moody}');
select t.want('one', 'one');
select t.load();
select t.resolve('one', 'r-one');
select t.finish('r-one');
select t.want('two', 'two');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('two', 'r-one', array[t.path('r-one')]), '{resolved,outputs}',
                        jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-one-2'), 'valid', true)))))), 'done',
          'a report may confirm the served path and find another path');
select is(t.outputs('two'), jsonb_build_object('out', t.full(t.path('r-one'))), 'the first path is served');
select results_eq($$select build, path, other_build, other_path from resolver.incoherent_output where drv = t.drv('r-one')$$,
    $$values (t.id('one'), t.path('r-one'), t.id('two'), t.path('r-one-2'))$$,
    'the view has the second path, with the build that found it');

-- An original has a path of its own, and its resolved derivation has another one.
select t.derivation('own', '{moody}');
select t.derivation('own-user', '{own}');
select t.want('own-user', 'own-user');
select t.load();
select t.resolve('own', 'r-own');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('own'), 'name', 'out', 'path', t.path('own'))));
select is_empty($$select * from resolver.incoherent_output where drv = t.drv('own')$$,
                'an original that was found elsewhere is not incoherent');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('r-own'), 'name', 'out', 'path', t.path('r-own'))));
select results_eq($$select output, path, other_path from resolver.incoherent_output where drv = t.drv('own')$$,
    $$values ('out', t.path('own'), t.path('r-own'))$$, 'if the resolved derivation has another path, the original is incoherent');
select is(resolver.output_paths(t.drv('own')), jsonb_build_object('out', t.path('own')), 'the first path is served');
select resolver.invalidate_paths(array[t.path('r-own')]);
select is_empty($$select * from resolver.incoherent_output where drv = t.drv('own')$$,
                'when one path is lost, the original is not incoherent any more');
select t.work();

-- A report of load has another path than the recorded one: the recorded path is loaded next.
select t.derivation('read');
select t.want('read', 'read');
select t.load();
select t.finish('read');
select t.want('read-2', 'read');
select t.claim('load');
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('read') || jsonb_build_object(
              'outputs', jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('read-2'), 'valid', true)),
              'info', t.info() || '{"size": 1}')))), 'done', 'load reports another path');
select is(t.ended('read-2'), 'unfinished', 'the info of the other path does not end the build');
select t.load();
select is(t.ended('read-2') || ', ' || (select size from Builds where id = t.id('read-2')), 'status 0 cached, 100',
          'the info of the served path ends the build');

-- An output is lost and built again: this is legal, but not deterministic.
select t.derivation('fickle');
select t.derivation('early', '{fickle}');
select t.derivation('late', '{fickle,early}');
select t.want('early', 'early');
select t.load();
select t.finish('fickle');
select t.resolve('early', 'r-early');
select t.finish('r-early');
select is_empty('select * from resolver.replaced_input', 'all derivations were made from paths in force');
select t.pass('1 hour');
select resolver.invalidate_paths(array[t.path('fickle')]);
select t.store_loses(t.path('fickle'));
select is_empty('select * from resolver.replaced_input', 'a lost path is not replaced yet');
select t.want('late', 'late');
select t.load();
select t.pass('1 hour');
select t.finish('fickle', jsonb_build_object('out', t.path('fickle-2')));
select is((select isNonDeterministic from BuildSteps where build = t.id('late')), true, 'the output is built again, and differs');
select is_empty($$select * from resolver.incoherent_output where drv = t.drv('fickle')$$,
                'the two paths were never valid together, and are not incoherent');
select results_eq('select drv, build, input, output, path, ceased_at, new_path from resolver.replaced_input',
    $$values (t.drv('early'), t.id('early'), t.drv('fickle'), 'out', t.path('fickle'), '2026-01-01 14:00:00+00'::timestamptz, t.path('fickle-2'))$$,
    'the view has the derivation that was made from the first path: a dependent of both has a mixture');
select t.work();
select is(t.ended('late'), 'status 0', 'a mixture is allowed');
select is((select count(*) from resolver.replaced_input), 1::bigint, 'a derivation that was made from the new path is not in the view');

-- The same with a resolved input, and with an input that comes back with the same path.
select t.derivation('mid', '{fickle}');
select t.derivation('upper', '{mid}');
select t.derivation('steady');
select t.derivation('on-steady', '{steady}');
select t.want('upper', 'upper');
select t.want('on-steady', 'on-steady');
select t.work();
select t.pass('1 hour');
select resolver.invalidate_paths(array[t.path('r-mid'), t.path('steady')]);
select t.store_loses(t.path('r-mid'));
select t.store_loses(t.path('steady'));
select t.want('mid', 'mid');
select t.want('steady', 'steady');
select t.load();
select t.resolve('mid', 'r-mid');
select t.finish('r-mid', jsonb_build_object('out', t.path('r-mid-2')));
select t.finish('steady');
select results_eq($$select drv, input, path, ceased_at, new_path from resolver.replaced_input where drv <> t.drv('early')$$,
    $$values (t.drv('upper'), t.drv('mid'), t.path('r-mid'), resolver.clock(), t.path('r-mid-2'))$$,
    'the view shows the loss of a resolved input; an input with the same path is not a mixture');

-- The invariants.
select t.derivation('twice', '{fickle}');
select t.want('twice', 'twice');
select t.load();
select t.resolve('twice', 'r-twice');
select is_empty('select * from resolver.invariant_violations()', 'no invariant is broken so far');
update resolver.resolution set inputs = inputs || inputs, outputs = outputs || outputs, paths = paths || paths
 where derivation = t.number('twice');
select is_empty('select * from resolver.check_one_path', 'an output may be sampled twice');
update resolver.resolution set paths = array[paths[1], t.path('fickle')] where derivation = t.number('twice');
select results_eq('select input, output from resolver.check_one_path', $$values (t.number('fickle'), 'out')$$,
                  'an output may not be sampled with two paths');
select results_eq('select * from resolver.invariant_violations()', $$values ('check_sampled_path', 1::bigint), ('check_one_path', 1::bigint)$$,
    'a sampled path has to be in force');
update resolver.resolution set inputs = inputs[1:1], outputs = outputs[1:1], paths = paths[1:1] where derivation = t.number('twice');

select t.work();
select * from t.done();
rollback;
