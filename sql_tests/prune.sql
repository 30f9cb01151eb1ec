-- prune(older_than, after, dry_run), prunable_paths(older_than, after), check_store(directory, identity): pruning.
\ir include/farm.sql

select function_returns('resolver', 'prune', array['interval', 'bigint', 'boolean'], 'jsonb', 'prune() returns numbers');
select function_returns('resolver', 'prunable_paths', array['interval', 'bigint'], 'jsonb',
                        'prunable_paths() returns paths that keep derivations from being pruned');
select volatility_is('resolver', 'prunable_paths', array['interval', 'bigint'], 'stable', 'prunable_paths() changes nothing');

-- Prunes everything; returns the sum of all calls.
create function pg_temp.prune(p_age interval default '90 days') returns jsonb language plpgsql as $$
declare
    v_after bigint := 0;
    v_part  jsonb;
    v_sum   jsonb := '{}';
begin
    while v_after is not null loop
        v_part := resolver.prune(p_age, v_after);
        v_after := v_part ->> 'after';
        v_sum := (select jsonb_object_agg(p.key, p.value::bigint + coalesce((v_sum ->> p.key)::bigint, 0))
                    from jsonb_each_text(v_part - 'after') p);
    end loop;
    return v_sum;
end
$$;
create function pg_temp.known() returns text[] language sql as $$
    select coalesce(array_agg(t.named(d.drv) order by d.derivation), '{}') from resolver.derivation d
$$;
create function pg_temp.paths(p_age interval default '90 days') returns text[] language sql as $$
    select coalesce(array_agg(distinct p.path order by p.path), '{}')
      from jsonb_each(resolver.prunable_paths(p_age) -> 'paths') d, jsonb_array_elements_text(d.value) p (path)
$$;
-- As the command does: withdraws paths that the store does not have any more.
create function pg_temp.withdraw() returns integer language sql as $$
    select resolver.invalidate_paths(array(select p from unnest(pg_temp.paths()) p where p not in (select s.path from t.stored s)))
$$;

-- An empty database.
select is(resolver.prune('90 days'), '{"derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0, "goals": 0, "leases": 0, "after": null}',
          'in an empty database there is nothing to prune');
select is(resolver.prunable_paths('90 days'), '{"paths": {}, "after": null}', 'in an empty database there are no paths');

-- Valid outputs stay, however old they are.
select t.derivation('leaf');
select t.derivation('mid', '{leaf}');
select t.derivation('top', '{mid}');
select t.want('top', 'top');
select t.work();
select t.pass('100 days');
select is(resolver.prune('90 days', p_dry_run => true), '{"derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0, "goals": 1, "leases": 8, "after": null}',
          'a dry run returns the numbers of rows to delete');
select t.keep();
select resolver.prune('90 days', p_dry_run => true);
select pg_temp.paths();
select is(t.changed(), '{}', 'a dry run changes nothing');
create temporary table dry as select resolver.prune('90 days', p_dry_run => true) as answer;
select is(resolver.prune('90 days'), (select answer from dry), 'the actual run returns the same numbers');
select is(pg_temp.known(), '{top,mid,leaf,r-mid,r-top}', 'derivations with valid outputs stay, with all derivations that lead to them');
select is(array[(select count(*) from resolver.realisation), (select count(*) from resolver.resolution), (select count(*) from resolver.dependency),
                (select count(*) from resolver.lease), (select count(*) from resolver.goal)], '{3,2,2,0,0}',
          'realisations, resolutions and edges stay; closed leases and ended goals do not');
select is(t.ended('top'), 'status 0', 'Hydra''s rows stay');

-- Paths that keep derivations, and the loss of such paths.
select is(pg_temp.paths(), (select array_agg(p order by p) from unnest(array[t.path('leaf'), t.path('r-mid'), t.path('r-top')]) p),
          'the result has the paths of old derivations that nothing needs');
select is(resolver.prunable_paths('90 days') -> 'paths' -> t.drv('mid'), jsonb_build_array(t.path('r-mid')),
          'the paths are grouped by derivation');
select is(pg_temp.paths('101 days'), '{}', 'no derivation is that old');
select t.store_loses(t.path('r-top'));
select is(pg_temp.withdraw(), 1, 'a path is gone from the store');
select is(resolver.prune('90 days', p_dry_run => true) -> 'derivations', '2',
          'two derivations can be pruned at once, since the loss does not count as an event');
select is(pg_temp.prune() - 'leases', '{"derivations": 2, "realisations": 1, "resolutions": 1, "failures": 0, "goals": 0}',
          'the derivations are deleted with their trace');
select is(pg_temp.known(), '{mid,leaf,r-mid}', 'the root and its resolved derivation are gone');
select is(resolver.trace(t.drv('top')), null, 'a pruned derivation is unknown');

-- Derivations that an unfinished build needs stay, and their paths are not in the result.
select t.derivation('user', '{mid}');
select t.want('user', 'user');
select t.load();
select is(t.stage('user'), 'resolvable', 'a build needs the middle derivation');
select is(pg_temp.paths(), array[t.path('leaf')], 'the path of the middle derivation is needed, the path of the leaf is not');
select t.store_loses(t.path('leaf'));
select t.store_loses(t.path('r-mid'));
select is(pg_temp.withdraw(), 1, 'only the path of the leaf is withdrawn');
select is(pg_temp.prune() - 'leases', '{"derivations": 1, "realisations": 1, "resolutions": 0, "failures": 0, "goals": 0}',
          'the leaf is pruned');
select is(pg_temp.known(), '{mid,r-mid,user}', 'the middle derivation stays');
select is(jsonb_array_length(resolver.trace(t.drv('mid')) #> '{resolutions,0,inputs}'), 1,
          'the resolution of the middle derivation still has the number of its inputs');
select is(resolver.build_report(t.id('top')) -> 'steps' -> 0 ->> 'drv', t.full(t.drv('leaf')), 'Hydra''s rows still have the leaf');
select is_empty('select * from resolver.invariant_violations()', 'no invariant is broken');

-- Pruned derivations are loaded again.
select resolver.invalidate_paths(array[t.path('r-mid')]);
select t.work();
select is(t.ended('user'), 'status 0', 'a pruned derivation is loaded and built again if a build needs it');
select is(t.steps('user'), array['1: leaf built', '2: mid resolved to r-mid', '3: r-mid built', '4: user resolved to r-user', '5: r-user built'],
          'the build has the steps of all pruned derivations');

-- Recent events keep derivations without valid outputs.
create function pg_temp.lose_all() returns void language sql as $$
    delete from t.stored;
    select resolver.invalidate_paths(array(select o.path from resolver.output o where o.valid_since is not null));
$$;
select pg_temp.lose_all();
select is(pg_temp.prune() -> 'derivations', '0', 'a derivation that was built recently stays, even if its outputs are lost');
select t.pass('89 days');
select is(pg_temp.prune() -> 'derivations', '0', 'the derivation stays for the given time');
select t.pass('2 days');
select is(pg_temp.known(), '{mid,r-mid,user,leaf,r-user}', 'one derivation was registered again');
select is(pg_temp.prune('365 days') -> 'derivations', '0', 'the call takes any age');
select is(pg_temp.prune() - 'leases', '{"derivations": 5, "realisations": 4, "resolutions": 3, "failures": 0, "goals": 1}',
          'after that time all derivations are pruned');
select is(pg_temp.known(), '{}', 'no derivation is left');
select is(array[(select count(*) from resolver.output), (select count(*) from resolver.dependency), (select count(*) from resolver.derivation_state),
                (select count(*) from resolver.resolution), (select count(*) from resolver.realisation)], '{0,0,0,0,0}',
                'no row is left in the other tables');

-- A resolution keeps its resolved derivation; if a derivation stays, entries that are not in force are pruned.
select t.want('first', 'mid');
select t.work();
select t.pass('100 days');
select resolver.invalidate_paths(array[t.path('r-mid')]);
select t.store_loses(t.path('r-mid'));
select t.want('second', 'mid');
select t.work();
select is(array[(select count(*) from resolver.realisation where derivation = t.number('r-mid')),
                (select count(*) from resolver.resolution where derivation = t.number('mid'))], '{2,2}',
                'an output is lost and built again after a hundred days');
select t.pass('30 days');
select is(pg_temp.prune() - 'leases', '{"derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0, "goals": 1}',
          'the loss is more recent than the given age');
select t.pass('61 days');
select is(resolver.prune('90 days', p_dry_run => true) -> 'realisations', '0',
          'the first realisation of a lost path stays, since the path is valid again');
select is(pg_temp.prune() - 'leases', '{"derivations": 0, "realisations": 0, "resolutions": 1, "failures": 0, "goals": 1}',
          'old entries are pruned if they are not in force, and stay if they are');
select is((select array_agg(build order by realisation) from resolver.realisation where derivation = t.number('r-mid')), array[t.id('first'), t.id('second')],
          'the trace of a valid path is complete');
select is(resolver.output_paths(t.drv('mid')), jsonb_build_object('out', t.path('r-mid')), 'the path is still served');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('r-mid'), 'name', 'out', 'path', t.path('other'))));
select resolver.invalidate_paths(array[t.path('other')]);
select t.pass('91 days');
select is(resolver.prune('90 days', p_dry_run => true) -> 'realisations', '1', 'a dry run counts the realisation of a lost path');
select is(pg_temp.prune() -> 'realisations', '1', 'the realisation of a lost path is pruned');
select is(pg_temp.known(), '{mid,leaf,r-mid}', 'no derivation is lost');

-- Several derivations with one path: all of them have to be old.
select t.derivation('twin', '{leaf}');
select t.want('twin', 'twin');
select t.load();
select t.resolve('twin', 'r-mid', array[t.path('r-mid')]);
select is(t.ended('twin'), 'status 0 cached', 'a derivation is cut off by an old one');
select is(pg_temp.paths(), array[t.path('leaf')], 'the shared path is not in the result, since one of the derivations is recent');
select t.pass('91 days');
select is(array_length(pg_temp.paths(), 1), 2, 'when both derivations are old, the path is in the result');
select is((select array_agg(t.named(k.key) order by t.named(k.key)) from jsonb_each(resolver.prunable_paths('90 days') -> 'paths') k), '{leaf,mid,r-mid,twin}',
          'the path is in the result for every derivation that has it');
select pg_temp.lose_all();
select pg_temp.prune();
select is(pg_temp.known(), '{}', 'all derivations are pruned');

select t.derivation('both', p_outputs => '{out,dev}');
select t.want('both', 'both');
select t.work();
select t.pass('100 days');
select t.derivation('also');
select t.want('also', 'also');
select t.load();
select t.finish('also', jsonb_build_object('out', t.path('both')));
select is(pg_temp.paths(), '{}', 'if one of two paths is in use, the other is not in the result: the derivation stays');
select t.pass('100 days');
select pg_temp.lose_all();
select pg_temp.prune();

-- A path that was never served keeps its derivation as long as it is valid.
select t.derivation('moody');
select t.want('moody', 'moody');
select t.work();
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('moody'), 'name', 'out', 'path', t.path('moody-2'))));
select t.pass('100 days');
select is(array_length(pg_temp.paths(), 1), 2, 'a second path of an output is in the result');
select resolver.invalidate_paths(array[t.path('moody')]);
select is(pg_temp.prune() -> 'derivations', '0', 'the trace of a valid path is never pruned');
select resolver.invalidate_paths(array[t.path('moody-2')]);
select is(pg_temp.prune() -> 'derivations', '1', 'when the second path is lost, the derivation is pruned');

-- Failures.
select t.derivation('bad');
select t.derivation('on-bad', '{bad}');
select t.derivation('above', '{on-bad}');
select t.want('above', 'above');
select t.load();
select t.fail('bad');
select t.pass('89 days');
select is(pg_temp.prune() -> 'derivations', '0', 'a recent failure keeps its derivation');
select t.pass('2 days');
select is(pg_temp.prune() - 'leases', '{"derivations": 3, "realisations": 0, "resolutions": 0, "failures": 1, "goals": 1}',
          'an old failure is pruned, with the derivations that failed because of it');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('above');
select resolver.sync_builds();
select t.load();
select t.fail('bad');
select t.pass('1 hour');
select t.want('above-2', 'above');
select is(t.ended('above-2'), 'status 2 cached', 'a new build ends by a known failure');
delete from resolver.goal where build in (t.id('above'), t.id('above-2'));
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('above');
select resolver.sync_builds();
select is(t.stage('bad'), 'unloaded', 'a restarted build whose goal was pruned has the derivation tried again');
select t.load();
select t.fail('bad', 'timeout', 7);
select t.pass('1 hour');
select resolver.restart_build(t.id('above'));
select t.work();
select t.pass('91 days');
select is(pg_temp.prune() -> 'failures', '3',
          'cleared failures are pruned even if the derivation stays: two, and one that a restart recalled');
select is(t.stage('bad'), 'realised', 'the derivation that stays succeeded in the end');
select pg_temp.lose_all();
select pg_temp.prune();

-- The goal that a failure ended has another root: the goal is pruned with the failure.
select t.derivation('cause');
select t.derivation('effect', '{cause}');
select t.want('effect', 'effect');
select t.load();
select t.fail('cause');
select t.pass('1 hour');
select t.build('retried', 'effect');
select resolver.sync_builds(array[t.id('retried')]);
select t.work();
select t.pass('91 days');
select resolver.invalidate_paths(array[t.path('cause')]);
select is((select (p -> 'derivations', p -> 'goals') from resolver.prune('90 days', t.number('effect')) p), ('1'::jsonb, '1'::jsonb),
          'the failed derivation is pruned with the goal of a build whose root stays');
select pg_temp.lose_all();
select pg_temp.prune();

-- A cancelled build leaves derivations that are neither realised nor failed.
select t.derivation('deep');
select t.derivation('low', '{deep}');
select t.derivation('side', '{deep}');
select t.derivation('high', '{low,side}');
select t.derivation('root', '{high,deep}');
select t.want('root', 'root');
select t.load();
select t.finish('deep');
select t.claim('resolve');
select t.resolve('low', 'r-low');
select is(t.stage('root') || ' ' || t.stage('high') || ' ' || t.stage('low') || ' ' || t.stage('r-low') || ' ' || t.stage('side'),
          'waiting waiting resolved buildable resolvable', 'the build is under way');
select t.pass('100 days');
select is(pg_temp.prune() -> 'derivations', '0', 'an unfinished build keeps all its derivations, however old');
select is(pg_temp.paths(), '{}', 'no path of an unfinished build is in the result');
select resolver.cancel_build(t.id('root'));
select is(pg_temp.prune() -> 'derivations', '0', 'the cancellation is recent');
select t.pass('100 days');
select resolver.sweep();
select t.worker();
select is((select stage || ' ' || (lease is null) from resolver.derivation_state where derivation = t.number('side')), 'resolvable true',
          'no worker has a claim any more');
select is(pg_temp.prune() -> 'derivations', '5', 'derivations that no build wants, without a valid output, are pruned');
select is(pg_temp.known(), '{deep}', 'a derivation with a valid output stays');
select is_empty('select * from resolver.invariant_violations()', 'no invariant is broken');
select pg_temp.lose_all();
select pg_temp.prune();

-- A claim keeps its derivation.
select t.derivation('held');
select t.want('held', 'held');
select t.load();
select t.claim('build');
select resolver.cancel_build(t.id('held'));
select t.pass('100 days');
select is(pg_temp.prune() -> 'derivations', '0', 'a claimed derivation stays');
select resolver.release_claims(t.worker_id(), array[t.lease('held', 'build')], 'cancelled');
select is(pg_temp.prune() -> 'derivations', '1', 'when the claim is released, the derivation is pruned');

-- In several calls: 250 derivations, and 250 leases, at a time.
insert into resolver.derivation (drv, name, system, kind)
select md5('many ' || n) || '-many.drv', 'many', 'x86_64-linux', 'floating' from generate_series(1, 600) n;
insert into resolver.derivation_state (derivation) select derivation from resolver.derivation;
insert into resolver.lease (derivation, verb, worker, opened_at, closed_at, outcome)
select derivation, 'load', t.worker_id(), resolver.clock() - interval '1 year', resolver.clock() - interval '1 year', 'done' from resolver.derivation
union all
select 0, 'load', t.worker_id(), resolver.clock() - interval '1 year', resolver.clock() - interval '1 year', 'done' from generate_series(1, 400);
create temporary table part as select resolver.prune('90 days') as answer;
select is((select answer -> 'derivations' from part), '250', 'one call prunes a bounded number of derivations');
select is((select answer -> 'leases' from part), '250', 'one call prunes a bounded number of leases');
select is((select (answer -> 'after')::bigint from part), (select min(derivation) - 1 from resolver.derivation),
          'the result has the start of the next call');
select is((select (answer -> 'leases')::integer from resolver.prune('90 days', p_dry_run => true) answer), 750,
          'a dry run counts all leases in its first call');
select is((select (answer -> 'leases')::integer from resolver.prune('90 days', 1, true) answer), 0,
          'later calls of a dry run count no leases');
create temporary table rest as select pg_temp.prune() as answer;
select is((select answer -> 'derivations' from rest), '350', 'further calls prune the rest');
select is((select answer -> 'leases' from rest), '750', 'the calls go on while there are leases');
select is(resolver.prunable_paths('90 days', 0) -> 'after', 'null', 'the last call returns null for after');

-- If a build is deleted from Hydra, derivations that others use stay.
select t.want('one', 'top');
select t.work();
select t.pass('1 hour');
select t.want('two', 'user');
select t.work();
delete from Builds where id = t.id('one');
select resolver.sync_builds();
select t.pass('100 days');
select pg_temp.prune();
select is((select count(*) from resolver.realisation), 4::bigint, 'all realisations in force stay');
select t.derivation('mid-2', '{leaf}');
select t.want('three', 'mid-2');
select t.load();
select t.resolve('mid-2', 'r-mid', array[t.path('r-mid')]);
select is(t.ended('three'), 'status 0 cached', 'a later build is cut off by them');

-- The store.
select lives_ok($$select resolver.check_store('/nix/store', 'one')$$, 'the store of this database is accepted');
select throws_ok($$select resolver.check_store('/nix/store', 'two')$$, 'NX015', 'this database belongs to another store',
                 'another store is refused');
select throws_ok($$select resolver.check_store('/gnu/store', 'one')$$, 'NX015', null, 'another directory is refused');
delete from resolver.store;
select lives_ok($$select resolver.check_store('/nix/store', 'two')$$, 'a database without a store accepts any');
insert into resolver.store values (true, '/nix/store', 'one');

-- If a path is served through a resolution, its trace stays even after a loss, also the trace of the original.
select t.derivation('under');
select t.derivation('served', '{under}');
select t.want('served', 'served');
select t.load();
select t.finish('under');
select t.claim('resolve');
select t.resolve('served', 'r-served');
select t.finish('r-served');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('served'), 'name', 'out', 'path', t.path('r-served'))));
select resolver.invalidate_paths(array[t.path('r-served')]);
select t.want('served-again', 'served');
select t.work();
select isnt((select ceased_at from resolver.realisation where derivation = t.number('served')), null,
            'the realisation of the original has ceased');
select t.pass('91 days');
select pg_temp.prune();
select is((select path from resolver.output where derivation = t.number('served') and valid_since is not null), t.path('r-served'),
          'the path of the original is served');
select isnt_empty($$select from resolver.realisation where derivation = t.number('served') and path = t.path('r-served')$$,
                  'the trace of the path stays');
select pg_temp.lose_all();
select pg_temp.prune();

select * from t.done();
rollback;
