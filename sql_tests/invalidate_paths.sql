-- invalidate_paths(paths): store paths that are not valid any more.
\ir include/farm.sql

select function_returns('resolver', 'invalidate_paths', array['text[]'], 'integer',
                        'the function returns the number of paths that were served until now');
create function pg_temp.lose(p_path text) returns integer language sql as $$
    select t.store_loses(p_path);
    select resolver.invalidate_paths(array[p_path]);
$$;

select t.keep();
select is(resolver.invalidate_paths(array[t.path('unknown'), '/nix/store/x']), 0, 'unknown paths are not served');
select is(resolver.invalidate_paths('{}'), 0, 'an empty list is accepted');
select is(t.changed(), '{}', 'these calls change nothing');

-- An output that no build needs.
select t.derivation('a', p_outputs => '{out,dev}');
select t.want('a', 'a');
select t.load();
select t.finish('a');
select t.pass('1 minute');
select t.store_loses(t.path('a'));
select is(resolver.invalidate_paths(array[t.full(t.path('a')), t.path('a')]), 1,
          'a path counts once, even as a full path and as a base name');
select is(t.stage('a'), 'unloaded', 'realised -> unloaded: the derivation is loaded again if a build wants it');
select results_eq(
    $$select name, valid_since is null, lost_at from resolver.output where derivation = t.number('a') order by name$$,
    $$values ('dev', false, null::timestamptz), ('out', true, resolver.clock())$$, 'only this output is lost');
select results_eq($$select output, ceased_at from resolver.realisation where derivation = t.number('a') order by output$$,
                  $$values ('dev', null::timestamptz), ('out', resolver.clock())$$, 'the trace has the time of the loss');
select is(t.ended('a'), 'status 0', 'a finished build stays finished');
select is(t.claim('load'), '{}', 'no build wants the derivation, so nothing happens');
select t.keep();
select is(pg_temp.lose(t.path('a')), 0, 'a second call finds nothing');
select is(t.changed(), '{}', 'the second call changes nothing');

-- A dependent that can be resolved; is being resolved; was resolved.
select t.derivation('b');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select t.load();
select t.finish('b');
select is(pg_temp.lose(t.path('b')), 1, 'the input of a resolvable derivation is lost');
select is(t.stage('c') || ' ' || t.watches('c') || ' ' || t.stage('b'), 'waiting b unloaded',
          'resolvable -> waiting, and it watches the input');
select t.load();
select t.finish('b');
select t.claim('resolve');
select pg_temp.lose(t.path('b'));
select is(t.stage('c'), 'waiting', 'a derivation that is being resolved waits, too');
select is((select outcome from resolver.lease where lease = t.lease('c', 'resolve')), 'stale', 'the claim is closed as stale');
select is((select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution('c', 'r-c')))), 'lease_lost',
          'the report is refused');
select t.load();
select t.finish('b');
select t.resolve('c', 'r-c');
select is(pg_temp.lose(t.path('b')), 1, 'the input of a resolved derivation is lost');
select is(t.stage('c') || ' ' || t.watches('c'), 'waiting b', 'resolved -> waiting');
select is((select resolved_to from resolver.derivation_state where derivation = t.number('c')), null, 'the derivation follows nothing');
select results_eq($$select resolved, released_at from resolver.resolution where derivation = t.number('c')$$,
                  $$values (t.number('r-c'), resolver.clock())$$, 'the resolution is released');
select is(t.claim('build'), '{}', 'the resolved derivation is not built, since no build needs it');
select t.load();
select t.finish('b', jsonb_build_object('out', t.path('b-again')));
select is(t.resolve('c', 'r-c-again'), 'done', 'the input is built again with another path, and the derivation resolves to another one');
select t.finish('r-c-again');
select is(t.ended('c'), 'status 0', 'the build succeeds');
select is(t.steps('c'), array['1: b built', '2: b built', '3: b built', '4: c resolved to r-c-again', '5: b built', '6: r-c-again built'],
          'the build has one row for the resolution in force');

-- The input of a realised derivation.
select pg_temp.lose(t.path('b-again'));
select is(t.stage('c'), 'realised', 'a realised derivation does not need its inputs any more');

-- A dependent that is buildable as it is; a dependent that is being built.
select t.derivation('d');
select t.derivation('e', '{d}', 'input-addressed');
select t.want('e', 'e');
select t.load();
select t.finish('d');
select is(t.stage('e'), 'buildable', 'the dependent is buildable');
select pg_temp.lose(t.path('d'));
select is(t.stage('e'), 'waiting', 'buildable -> waiting');
select t.load();
select t.finish('d');
select t.claim('build');
select pg_temp.lose(t.path('d'));
select is(t.stage('e'), 'building', 'a running attempt goes on, since it may have its inputs already');
select resolver.release_claims(t.worker_id(), array[t.lease('e', 'build')], 'inputs are gone');
select is(t.stage('e') || ' ' || t.watches('e'), 'waiting d', 'building -> waiting when the claim is released');
select t.work();
select is(t.ended('e'), 'status 0', 'the build succeeds in the end');
select is(t.steps('e'), array['1: d built', '2: d built', '3: e built', '4: d built'], 'the row of the aborted attempt is used again');

-- The output of a resolved derivation is also the output of its followers.
select t.derivation('f', '{a^dev}');
select t.derivation('g', '{f}');
select t.want('f', 'f');
select t.want('g', 'g');
select t.load();
select t.resolve('f', 'r-f');
select t.finish('r-f');
select is(t.stage('g'), 'resolvable', 'the dependent is resolvable');
select is(pg_temp.lose(t.path('r-f')), 1, 'the path is lost');
select is(t.stage('f') || ' ' || t.stage('r-f') || ' ' || t.stage('g'), 'unloaded unloaded waiting',
          'the derivation, its resolved derivation and the dependent move');
select is((select count(*) from resolver.resolution where derivation = t.number('f') and released_at is null), 0::bigint, 'the resolution is released');
select t.load();
select is(t.resolve('f', 'r-f'), 'done', 'the derivation resolves to the same one');
select is(t.stage('r-f'), 'buildable', 'the resolved derivation is built again: unloaded -> buildable');
select t.work();
select is(t.ended('g'), 'status 0', 'the dependent is built');

-- An input is lost while its dependent waits for another input.
select t.derivation('h');
select t.derivation('i');
select t.derivation('j', '{h,i}');
select t.want('h', 'h');
select t.load();
select t.finish('h');
select resolver.sync_builds();
update resolver.derivation_state set owner = null where derivation = t.number('h');
select t.want('j', 'j');
select t.load();
select is(t.watches('j'), 'i', 'the derivation watches one input; the other is valid, and has no owner');
select pg_temp.lose(t.path('h'));
select t.load();
select is(t.stage('h'), 'buildable', 'if the other input is lost, it is wanted again at once');
select t.work();
select is(t.ended('j'), 'status 0', 'the build succeeds');

-- A lost output that the dependent does not use.
select t.derivation('k', p_outputs => '{out,dev}');
select t.derivation('l', '{k}');
select t.want('k', 'k');
select t.load();
select t.finish('k');
select t.want('l', 'l');
select t.load();
select pg_temp.lose(t.path('k-dev'));
select is(t.stage('l'), 'resolvable', 'the loss of an output that it does not use does not move a derivation');
select t.work();

-- An output of a derivation that is not realised yet.
select t.derivation('half', p_outputs => '{out,dev}');
select t.want('half', 'half');
select t.load();
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('half'), 'name', 'dev', 'path', t.path('half-dev'))));
select t.claim('build');
select is(pg_temp.lose(t.path('half-dev')), 1, 'the output is lost');
select is(t.stage('half'), 'building', 'a derivation that is being built does not move');
select t.finish('half');
select is(t.ended('half'), 'status 0', 'the build succeeds');

-- A valid output of a failed derivation.
select t.derivation('bad', p_outputs => '{out,dev}');
select t.derivation('slow');
select t.derivation('uses-both', '{slow,bad}');
select t.derivation('on-top', '{uses-both}');
select t.want('bad', 'bad');
select t.load();
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('bad'), 'name', 'out', 'path', t.path('bad'))));
select t.fail('bad');
select t.want('on-top', 'on-top');
select t.load();
select is(t.watches('uses-both'), 'slow', 'the needed output of the failed derivation is valid');
select pg_temp.lose(t.path('bad'));
select resolver.advance();
select is(t.ended('on-top'), 'status 2', 'if that output is lost, the dependent fails at once, and does not wait for its other input');

-- One path that two derivations have.
select t.derivation('m');
select t.derivation('n');
select t.want('m', 'm');
select t.want('n', 'n');
select t.load();
select t.finish('m', jsonb_build_object('out', t.path('same')));
select t.finish('n', jsonb_build_object('out', t.path('same')));
select is(pg_temp.lose(t.path('same')), 1, 'two derivations had the same output');
select is(t.stage('m') || ' ' || t.stage('n'), 'unloaded unloaded', 'the path is lost for both derivations');

select * from t.done();
rollback;
