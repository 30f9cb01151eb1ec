-- A derivation that resolves to a built one ends with it if its wanted outputs are valid, whatever happened to the other outputs.
\ir include/farm.sql

select t.derivation('leaf');
select t.derivation('a' || i, '{leaf}', p_outputs => '{out,dev}') from generate_series(1, 9) i;
select t.derivation('user' || i, array['a' || i]) from generate_series(1, 9) i;
select t.derivation('dev-user' || i, array['a' || i || '^dev']) from generate_series(1, 9) i;
create function pg_temp.known(p_name text) returns jsonb language sql as $$
    select resolver.output_paths(t.drv(p_name))
$$;
create function pg_temp.unwritten(p_name text, p_to text, p_paths text[]) returns text language plpgsql as $$
begin
    perform t.ensure_claimed(p_name, 'resolve');
    return (select a.outcome || coalesce(' ' || a.detail, '') from resolver.set_resolved_to(jsonb_build_array(
        t.resolution(p_name, p_to) || jsonb_build_object('resolved', jsonb_build_object(
            'drv', t.drv(p_to), 'written', false, 'confirmed', to_jsonb(p_paths), 'outputs', '[]'::jsonb)))) a);
end
$$;

-- Releases open claims first.
create function pg_temp.work() returns void language sql as $$
    select resolver.release_claims(t.worker_id(), array(select l.lease from resolver.lease l where l.closed_at is null), '');
    select t.work();
$$;

-- Output dev is not wanted, and is lost.
select t.want('user1', 'user1');
select t.load();
select t.finish('leaf');
select t.resolve('a1', 'r');
select is((select array_agg(name order by name) from resolver.output where derivation = t.number('r') and is_wanted), '{out}',
          'an output that is wanted of the original is wanted of the resolved derivation');
select t.finish('r');
select pg_temp.work();
select is(t.ended('user1'), 'status 0', 'the build succeeds, with all outputs');
select resolver.invalidate_paths(array[t.path('r-dev')]);
select is(t.stage('a1') || ' ' || t.stage('r'), 'realised realised', 'the loss of an output that is not wanted changes nothing');

select t.want('user2', 'user2');
select t.load();
select is(t.resolve('a2', 'r'), 'confirm', 'the output that is left has to be confirmed');
select is(t.resolve('a2', 'r', array[t.path('r')]), 'done', 'the output is confirmed');
select is(t.stage('a2') || ' ' || t.stage('r'), 'realised realised', 'a derivation that wants only this output ends at once');
select is((select is_cut_off from resolver.resolution where derivation = t.number('a2')), true, 'the resolution is cut off');
select is(pg_temp.known('a2'), jsonb_build_object('out', t.path('r')), 'the derivation has the valid output');
select is(t.steps('user2'), array['1: a2 resolved to r', '2: r found'], 'the build has both rows');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('user2') and stepnr = 2 order by name$$,
    $$values ('dev', null), ('out', t.full(t.path('r')))$$, 'the terminal row has the paths of the valid outputs');
select is(t.claim('build'), '{}', 'nothing is built');
select pg_temp.work();
select is(t.ended('user2'), 'status 0', 'the build goes on');

-- Its .drv need not be written for that.
select t.want('user3', 'user3');
select t.want('dev-user4', 'dev-user4');
select t.load();
select is(pg_temp.unwritten('a3', 'r', array[t.path('r')]), 'done', 'the .drv of a realised derivation need not be written');
select is(t.stage('a3'), 'realised', 'a derivation that wants no more outputs ends');
select is(pg_temp.unwritten('a4', 'r', array[t.path('r')]), 'confirm {}', 'if a derivation wants more outputs, the .drv has to be written');
select is(t.stage('a4') || ' ' || t.stage('r'), 'resolvable realised', 'nothing is to be built');

-- More wanted outputs.
select is(t.resolve('a4', 'r', array[t.path('r')]), 'done', 'the .drv is written');
select is(t.stage('a4') || ' ' || t.stage('r'), 'resolved buildable', 'the resolved derivation is loaded again, and built');
select is(pg_temp.known('a4'), jsonb_build_object('out', t.path('r')), 'the valid output is served');
select t.want('user5', 'user5');
select t.load();
select t.claim('build');
select is(pg_temp.unwritten('a5', 'r', array[t.path('r')]), 'done', 'another derivation resolves to it while it is being built');
select is(t.stage('a5') || ' ' || t.stage('r'), 'realised building', 'a derivation that wants only the valid output does not wait');
select t.finish('r', jsonb_build_object('out', t.path('r-2'), 'dev', t.path('r-dev-2')));
select is(pg_temp.known('a4'), jsonb_build_object('out', t.path('r'), 'dev', t.path('r-dev-2')),
          'after the build, the first path is served');
select is(t.stage('a4') || ' ' || t.stage('r'), 'realised realised', 'all derivations have their wanted outputs');
select results_eq('select drv, output, path, other_path from resolver.incoherent_output',
    $$values (t.drv('r'), 'out', t.path('r'), t.path('r-2'))$$, 'the view has the second path');
select is(pg_temp.known('a5'), jsonb_build_object('out', t.path('r')), 'the derivation that had ended has its wanted output');
select t.want('dev-user5', 'dev-user5');
select t.load();
select is(t.stage('a5'), 'resolvable', 'if more outputs are wanted, the derivation is opened again');
select is(pg_temp.unwritten('a5', 'r', array[t.path('r'), t.path('r-dev-2')]), 'done', 'the derivation resolves once more');
select is(pg_temp.known('a5'), jsonb_build_object('out', t.path('r'), 'dev', t.path('r-dev-2')), 'the derivation has both outputs');
select pg_temp.work();
select is(t.ended('dev-user4') || ', ' || t.ended('user5') || ', ' || t.ended('dev-user5'), 'status 0, status 0, status 0',
          'all builds succeed');

-- A build wants all outputs of its root.
select resolver.invalidate_paths(array[t.path('r-dev-2')]);
select is(t.stage('r'), 'unloaded', 'an output that was wanted once is lost');
select t.want('user6', 'user6');
select t.want('a7', 'a7');
select t.load();
select t.claim('resolve');
select t.resolve('a6', 'r', array[t.path('r')]);
select is(t.stage('a6') || ' ' || t.stage('r'), 'realised unloaded', 'a derivation that does not want this output ends');
select is(t.claim('build') || t.claim('load'), '{}', 'nothing is built, and nothing is loaded');
select t.resolve('a7', 'r', array[t.path('r')]);
select is(t.stage('a7') || ' ' || t.stage('r'), 'resolved buildable', 'if it is the root of a build, it is built');
select t.finish('r', jsonb_build_object('out', t.path('r'), 'dev', t.path('r-dev')));
select is(t.ended('a7') || ', ' || t.outputs('a7')::text, 'status 0, ' || jsonb_build_object('out', t.full(t.path('r')), 'dev', t.full(t.path('r-dev')))::text,
          'the build succeeds, and has all outputs');
select pg_temp.work();

-- A second build fails.
select resolver.invalidate_paths(array[t.path('r-dev')]);
select t.want('a8', 'a8');
select t.load();
select t.resolve('a8', 'r', array[t.path('r')]);
select t.fail('r');
select is(t.ended('a8'), 'status 1', 'the builder fails now');
select t.pass('1 hour');
select t.want('user9', 'user9');
select t.load();
select t.resolve('a9', 'r', array[t.path('r')]);
select is(t.stage('a9') || ' ' || t.stage('r'), 'realised failed', 'a follower with valid wanted outputs ends all the same');
select t.want('dev-user9', 'dev-user9');
select t.load();
select t.resolve('a9', 'r', array[t.path('r')]);
select is(t.ended('dev-user9'), 'status 2 cached', 'a dependent that wants more outputs ends as a cached failure');

-- Outputs that were found in the store, for two derivations that want different outputs.
select t.derivation('b' || i, '{leaf}', p_outputs => '{out,dev}') from generate_series(1, 5) i;
select t.derivation('uses-b' || i, array['b' || i]) from generate_series(1, 5) i;
select t.derivation('dev-uses-b' || i, array['b' || i || '^dev']) from generate_series(1, 5) i;
create function pg_temp.found(p_name text, p_to text) returns jsonb language sql as $$
    select jsonb_set(t.resolution(p_name, p_to), '{resolved,outputs}', jsonb_build_array(
               jsonb_build_object('name', 'out', 'path', t.path(p_to), 'valid', true),
               jsonb_build_object('name', 'dev', 'path', null, 'valid', false))) || '{"info": null}'
$$;
select t.want('uses-b1', 'uses-b1');
select t.want('dev-uses-b2', 'dev-uses-b2');
select t.load();
select t.claim('resolve');
select is((select array_agg(outcome) from resolver.set_resolved_to(jsonb_build_array(pg_temp.found('b1', 'rb'), pg_temp.found('b2', 'rb')))),
          '{done,done}', 'the store has one of the outputs');
select is(t.stage('b1') || ' ' || t.stage('b2') || ' ' || t.stage('rb'), 'realised resolved buildable',
          'a derivation that wants this output ends at once, and the other is built');
select is(t.steps('uses-b1'), array['1: b1 resolved to rb', '2: rb found'], 'each build has its rows');
select t.finish('rb');
select is(t.stage('b2') || ' ' || pg_temp.known('b2')::text, 'realised ' || jsonb_build_object('out', t.path('rb'), 'dev', t.path('rb-dev'))::text,
          'the other derivation has both outputs');

-- One build wants both, of two derivations.
select t.derivation('c' || i, '{leaf}', p_outputs => '{out,dev}') from generate_series(1, 2) i;
select t.derivation('both', '{c1,"c2^dev"}');
select t.want('both', 'both');
select t.load();
select t.claim('resolve');
select resolver.set_resolved_to(jsonb_build_array(pg_temp.found('c1', 'rc')));
select is(t.stage('c1') || ' ' || t.stage('rc'), 'realised realised', 'the first derivation has its wanted output');
select t.resolve('c2', 'rc', array[t.path('rc')]);
select is(t.stage('c2') || ' ' || t.stage('rc'), 'resolved buildable', 'the second derivation wants the other output');
select pg_temp.work();
select is(t.steps('both'), array['1: c1 resolved to rc', '2: rc found', '3: c2 resolved to rc', '4: rc built', '5: both resolved to r-both', '6: r-both built'],
          'the build has a row for the output that was found, and for the attempt');

-- If the build of a derivation that wants more outputs is gone, nothing is built until another build wants the outputs.
select resolver.invalidate_paths(array[t.path('rc-dev')]);
update resolver.output set is_wanted = false where derivation = t.number('rc') and name = 'dev';
update resolver.derivation_state set stage = 'realised' where derivation = t.number('rc');
select t.derivation('c3', '{leaf}', p_outputs => '{out,dev}');
select t.derivation('late', '{"c3^dev"}');
select t.want('late', 'late');
select t.load();
select t.claim('resolve');
update Builds set drvPath = t.full(t.drv('leaf')) where id = t.id('late');
select resolver.sync_builds();
select t.resolve('c3', 'rc', array[t.path('rc')]);
select is(t.stage('c3') || ' ' || t.stage('rc') || ' ' || t.claim('build')::text, 'resolved buildable {}',
          'the resolved derivation is not realised any more');
select t.want('late-2', 'late');
select pg_temp.work();
select is(t.ended('late-2'), 'status 0', 'a later build builds it');

-- More outputs are wanted of a resolved derivation.
select t.want('uses-b3', 'uses-b3');
select t.want('uses-b4', 'uses-b4');
select t.want('uses-b5', 'uses-b5');
select t.load();
select t.claim('resolve');
select t.resolve(b, 'r' || b) from unnest('{b3,b4,b5}'::text[]) b;
select t.want('dev-uses-b4', 'dev-uses-b4');
select t.want('b5', 'b5');
select t.load();
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('r' || b), 'name', 'out', 'path', t.path('r' || b))))
  from unnest('{b3,b4,b5}'::text[]) b;
select is((select array_agg(t.stage(b) || ' ' || t.stage('r' || b)) from unnest('{b3,b4,b5}'::text[]) b),
          '{realised realised,resolved buildable,resolved buildable}',
          'one found output is enough for the first derivation, not for derivations of which more is wanted');

-- An attempt was cut short: only the next attempt makes outputs valid, even if one was found and all were read.
select t.derivation('e' || i, '{leaf}', p_outputs => '{out,dev}') from generate_series(1, 2) i;
select t.want('e1', 'e1');
select t.load();
select t.resolve('e1', 're');
select t.claim('build');
select resolver.release_claims(t.worker_id(), array[t.lease('re', 'build')], '');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('re'), 'name', 'dev', 'path', t.path('re-dev'))));
select t.want('e2', 'e2');
select t.load();
select t.claim('resolve');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(
              jsonb_set(t.resolution('e2', 're'), '{resolved,outputs}', jsonb_build_array(
                  jsonb_build_object('name', 'out', 'path', t.path('re'), 'valid', true),
                  jsonb_build_object('name', 'dev', 'path', t.path('re-dev'), 'valid', true)))))), 'done', 'a report has all outputs');
select is(t.stage('e2') || ', ' || t.ended('e2'), 'resolved, unfinished', 'the report does not end the build');
select pg_temp.work();
select is(t.ended('e1') || ', ' || t.ended('e2'), 'status 0, status 0 cached', 'the next attempt ends the build');

-- The check.
select t.derivation('d', '{leaf}');
select t.want('d', 'd');
select t.load();
select t.resolve('d', 'rd');
update resolver.output set is_wanted = false where derivation = t.number('rd');
select results_eq('select derivation, resolved_to, name from resolver.check_wanted', $$values (t.number('d'), t.number('rd'), 'out')$$,
    'an output wanted of a derivation is wanted of its resolved derivation');
select results_eq('select * from resolver.invariant_violations()', $$values ('check_wanted', 1::bigint)$$,
                  'invariant_violations() shows the violation');
update resolver.output set is_wanted = true where derivation = t.number('rd');

select pg_temp.work();
select * from t.done();
rollback;
