-- register_local_outputs(outputs): paths that another component found valid in the store.
\ir include/farm.sql

select function_returns('resolver', 'register_local_outputs', array['jsonb'], 'integer',
                        'the function returns the number of derivations with newly valid outputs');
create function pg_temp.local(p_name text, p_output text default 'out', p_path text default null) returns integer language sql as $$
    select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object(
        'drv', t.drv(p_name), 'name', p_output, 'path', coalesce(p_path, t.output_path(p_name, p_output)))))
$$;

-- Unknown derivations.
select t.keep();
select is(pg_temp.local('nobody'), 0, 'an unknown derivation is ignored');
select is(resolver.register_local_outputs('[]'), 0, 'an empty report is accepted');
select is(t.changed(), '{}', 'these reports change nothing');

-- Waiting, with a dependent; full paths.
select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select t.load();
select is(resolver.register_local_outputs(jsonb_build_array(jsonb_build_object(
              'drv', t.full(t.drv('b')), 'name', 'out', 'path', t.full(t.path('b'))))), 1, 'full paths are taken as well as base names');
select is(t.stage('b'), 'realised', 'waiting -> realised');
select is(t.watches('b'), null, 'the derivation watches nothing any more');
select is(t.stage('c'), 'resolvable', 'the dependent goes on');
select results_eq(
    $$select output, path, source, build, stepnr from resolver.realisation where derivation = t.number('b')$$,
    $$values ('out', t.path('b'), 'local', t.id('c'), null::integer)$$, 'the trace has the output');
select t.keep();
select is(pg_temp.local('b'), 0, 'the same output is not new');
select is(t.changed(), '{}', 'the same report changes nothing');
select is(pg_temp.local('b', 'out', t.path('other')), 0, 'another path is not new');
select is(resolver.output_paths(t.drv('b')), jsonb_build_object('out', t.path('b')), 'the first valid path is served');
select is((select count(*) from resolver.realisation where derivation = t.number('b')), 2::bigint, 'the trace has both paths');
select is(pg_temp.local('b', 'nope'), 0, 'an output that the derivation does not have is ignored');
select t.work();
select is(t.ended('c'), 'status 0', 'the dependent is built with the output');

-- Buildable, resolvable, unloaded, resolved.
select t.derivation('d');
select t.want('d', 'd');
select t.load();
select is(pg_temp.local('d'), 1, 'the output of a buildable derivation is found');
select t.store_has(t.path('d'));
select is(t.ended('d'), 'unfinished', 'its build does not end, since its products were not read');
select is(t.claim('build'), '{}', 'the derivation is not built');
select is(t.stage('d'), 'unloaded', 'the derivation is loaded again');
select t.load();
select is(t.ended('d'), 'status 0 cached', 'load ends the build');
select t.derivation('e', '{a}');
select t.derivation('e-user', '{e}');
select t.work();
select t.want('e-user', 'e-user');
select t.load();
select t.finish('a');
select is(t.stage('e'), 'resolvable', 'the derivation is resolvable');
select t.claim('resolve');
select is(pg_temp.local('e'), 1, 'its output is found while a worker has a claim');
select is(t.stage('e'), 'realised', 'resolvable -> realised');
select t.keep();
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('e', 'r-e')))), 'lease_lost',
          'the claim is revoked');
select is(t.changed(), '{}', 'the refused report changes nothing');
select t.work();
select t.derivation('g', '{a}');
select t.derivation('g-user', '{g}');
select t.want('g-user', 'g-user');
select t.load();
select t.resolve('g', 'r-g');
select is(pg_temp.local('g'), 1, 'the output of a resolved derivation''s follower is found');
select is(t.stage('g'), 'realised', 'resolved -> realised');
select t.work();
select is(t.ended('g-user'), 'status 0', 'the dependent is built');

-- The output of the resolved derivation is found: all followers end.
select t.derivation('h', '{a}');
select t.derivation('h-user', '{h}');
select t.want('h-user', 'h-user');
select t.load();
select t.resolve('h', 'r-h');
select is(pg_temp.local('r-h'), 1, 'the output of a resolved derivation is found');
select is(t.stage('h') || ' ' || t.stage('r-h'), 'realised realised', 'both derivations are realised');
select is(t.steps('h-user'), array['1: h resolved to r-h', '2: r-h found'], 'the build has a row for it');
select t.work();

-- Only one of two outputs.
select t.derivation('i1');
select t.derivation('i2', '{i1}', 'floating', '{out,dev}');
select t.derivation('i3', '{"i2^out,dev"}');
select t.want('i3', 'i3');
select t.load();
select is(pg_temp.local('i2'), 1, 'one of two wanted outputs is found');
select is(t.stage('i2'), 'waiting', 'the derivation waits on');
select is(t.watches('i2'), 'i1', 'the derivation watches its input');
select t.finish('i1');
select is(t.stage('i2'), 'resolvable', 'when the input is valid, the derivation is resolvable');
select t.resolve('i2', 'r-i2');
select is(pg_temp.local('r-i2'), 1, 'one of two outputs of the resolved derivation is found');
select is(t.stage('i2'), 'resolved', 'the follower waits for the other output');
select is(t.steps('i3'), array['1: i1 built', '2: i2 resolved to r-i2'], 'there is no terminal row yet');
select t.finish('r-i2');
select is(t.steps('i3'), array['1: i1 built', '2: i2 resolved to r-i2', '3: r-i2 built'],
          'the terminal row comes with the build of the other output');
select t.work();

-- A derivation that is being built, and a failed one.
select t.derivation('k');
select t.want('k', 'k');
select t.load();
select t.claim('build');
select t.keep();
select is(pg_temp.local('k'), 0, 'outputs of a derivation that is being built are ignored: the report of that build counts');
select is(t.changed(), '{}', 'the call changes nothing');
select t.fail('k');
select t.keep();
select is(pg_temp.local('k'), 0, 'outputs of a failed derivation are ignored until it is restarted');
select is(t.changed(), '{}', 'the call changes nothing');

-- Invalid paths.
select t.derivation('static', p_kind => 'input-addressed');
select t.derivation('pinned', p_kind => 'fixed');
select t.derivation('free');
select t.want(d, d) from unnest('{static,pinned,free}'::text[]) d;
select t.load();
select t.keep();
select is(pg_temp.local('static', 'out', t.path('other')) + pg_temp.local('pinned', 'out', t.path('other')), 0,
          'an output whose path is known in advance has no other path');
select is(pg_temp.local('free', 'out', x), 0, 'no path: ' || x) from unnest('{out,/,"/nix/store/",0123-short,"UPPERCASE0123456789abcdefghijklmnop-x"}'::text[]) x;
select is(t.changed(), '{}', 'the invalid paths change nothing');
select t.store_has(t.path(d)) from unnest('{static,pinned}'::text[]) d;
select is(pg_temp.local('static') + pg_temp.local('pinned'), 2, 'the right paths are accepted');
select t.work();

-- Known by name only.
select t.derivation('by-name');
select t.derivation('uses-it', '{by-name}');
select t.want('uses-it', 'uses-it');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('uses-it')));
select t.keep();
select is(pg_temp.local('by-name'), 0, 'outputs of a derivation that is not loaded yet are ignored');
select is(t.changed(), '{}', 'the call changes nothing');
select t.work();

select * from t.done();
rollback;
