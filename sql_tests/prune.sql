-- prune(older_than, after, dry_run), prunable_paths(older_than, after), check_store(directory, identity): forgetting.
\ir include/farm.sql

select function_returns('resolver', 'prune', array['interval', 'bigint', 'boolean'], 'jsonb', 'it answers with numbers');
select function_returns('resolver', 'prunable_paths', array['interval', 'bigint'], 'jsonb', 'paths that may be in the way');
select volatility_is('resolver', 'prunable_paths', array['interval', 'bigint'], 'stable', 'to ask for them changes nothing');

-- Deletes all that it may; the sum of all calls.
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
-- What the command does: paths that the store does not have any more are withdrawn first.
create function pg_temp.withdraw() returns integer language sql as $$
    select resolver.invalidate_paths(array(select p from unnest(pg_temp.paths()) p where p not in (select s.path from t.stored s)))
$$;

-- Nothing.
select is(resolver.prune('90 days'), '{"derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0, "goals": 0, "leases": 0, "after": null}',
          'in an empty database there is nothing to forget');
select is(resolver.prunable_paths('90 days'), '{"paths": {}, "after": null}', 'and no path');

-- What is valid stays, however old it is.
select t.derivation('leaf');
select t.derivation('mid', '{leaf}');
select t.derivation('top', '{mid}');
select t.want('top', 'top');
select t.work();
select t.pass('100 days');
select is(resolver.prune('90 days', p_dry_run => true), '{"derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0, "goals": 1, "leases": 8, "after": null}',
          'a dry run says what would be forgotten');
select t.keep();
select resolver.prune('90 days', p_dry_run => true);
select pg_temp.paths();
select is(t.changed(), '{}', 'and changes nothing');
create temporary table dry as select resolver.prune('90 days', p_dry_run => true) as answer;
select is(resolver.prune('90 days'), (select answer from dry), 'the real one says the same');
select is(pg_temp.known(), '{top,mid,leaf,r-mid,r-top}', 'what has valid outputs is kept, with all that leads to it');
select is(array[(select count(*) from resolver.realisation), (select count(*) from resolver.resolution), (select count(*) from resolver.dependency),
                (select count(*) from resolver.lease), (select count(*) from resolver.goal)], '{3,2,2,0,0}',
          'realisations, resolutions and edges; closed leases and ends of builds are not');
select is(t.ended('top'), 'status 0', 'Hydra''s rows are left alone');

-- Which paths are in the way, and that they are gone.
select is(pg_temp.paths(), (select array_agg(p order by p) from unnest(array[t.path('leaf'), t.path('r-mid'), t.path('r-top')]) p),
          'the paths of old derivations that nothing needs');
select is(resolver.prunable_paths('90 days') -> 'paths' -> t.drv('mid'), jsonb_build_array(t.path('r-mid')), 'by derivation');
select is(pg_temp.paths('101 days'), '{}', 'none is that old');
select t.store_loses(t.path('r-top'));
select is(pg_temp.withdraw(), 1, 'the store does not have one of them any more');
select is(resolver.prune('90 days', p_dry_run => true) -> 'derivations', '2', 'then two derivations can be forgotten: at once, since they are as old as before');
select is(pg_temp.prune() - 'leases', '{"derivations": 2, "realisations": 1, "resolutions": 1, "failures": 0, "goals": 0}', 'with their trace');
select is(pg_temp.known(), '{mid,leaf,r-mid}', 'the root and what it was resolved to');
select is(resolver.trace(t.drv('top')), null, 'it is not known any more');

-- What an unfinished build needs stays, and its paths are not even asked for.
select t.derivation('user', '{mid}');
select t.want('user', 'user');
select t.load();
select is(t.stage('user'), 'resolvable', 'somebody needs the middle one');
select is(pg_temp.paths(), array[t.path('leaf')], 'its path is none that nobody needs; that of the leaf is');
select t.store_loses(t.path('leaf'));
select t.store_loses(t.path('r-mid'));
select is(pg_temp.withdraw(), 1, 'only the leaf''s is withdrawn');
select is(pg_temp.prune() - 'leases', '{"derivations": 1, "realisations": 1, "resolutions": 0, "failures": 0, "goals": 0}', 'the leaf is forgotten');
select is(pg_temp.known(), '{mid,r-mid,user}', 'the middle one is not');
select is(jsonb_array_length(resolver.trace(t.drv('mid')) #> '{resolutions,0,inputs}'), 1, 'whose resolution still says from how many inputs it was made');
select is(resolver.build_report(t.id('top')) -> 'steps' -> 0 ->> 'drv', t.full(t.drv('leaf')), 'Hydra''s rows know the leaf');
select is_empty('select * from resolver.invariant_violations()', 'no invariant is broken');

-- What was forgotten is found again.
select resolver.invalidate_paths(array[t.path('r-mid')]);
select t.work();
select is(t.ended('user'), 'status 0', 'it is loaded and built again when it is needed');
select is(t.steps('user'), array['1: leaf built', '2: mid resolved to r-mid', '3: r-mid built', '4: user resolved to r-user', '5: r-user built'],
          'with all that was forgotten');

-- Recent events keep what has no valid output.
create function pg_temp.lose_all() returns void language sql as $$
    delete from t.stored;
    select resolver.invalidate_paths(array(select o.path from resolver.output o where o.valid_since is not null));
$$;
select pg_temp.lose_all();
select is(pg_temp.prune() -> 'derivations', '0', 'what was built lately is kept though its outputs are gone');
select t.pass('89 days');
select is(pg_temp.prune() -> 'derivations', '0', 'for as long as was said');
select t.pass('2 days');
select is(pg_temp.known(), '{mid,r-mid,user,leaf,r-user}', 'one derivation was registered anew');
select is(pg_temp.prune('365 days') -> 'derivations', '0', 'an age is an age');
select is(pg_temp.prune() - 'leases', '{"derivations": 5, "realisations": 4, "resolutions": 3, "failures": 0, "goals": 1}', 'then all of it is forgotten');
select is(pg_temp.known(), '{}', 'nothing is left');
select is(array[(select count(*) from resolver.output), (select count(*) from resolver.dependency), (select count(*) from resolver.derivation_state),
                (select count(*) from resolver.resolution), (select count(*) from resolver.realisation)], '{0,0,0,0,0}', 'of anything');

-- A resolution keeps what it resolves to; entries that are not in force are forgotten of what is kept.
select t.want('first', 'mid');
select t.work();
select t.pass('100 days');
select resolver.invalidate_paths(array[t.path('r-mid')]);
select t.store_loses(t.path('r-mid'));
select t.want('second', 'mid');
select t.work();
select is(array[(select count(*) from resolver.realisation where derivation = t.number('r-mid')),
                (select count(*) from resolver.resolution where derivation = t.number('mid'))], '{2,2}', 'lost and built again after a hundred days');
select t.pass('30 days');
select is(pg_temp.prune() - 'leases', '{"derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0, "goals": 1}', 'the loss is not that long ago');
select t.pass('61 days');
select is(resolver.prune('90 days', p_dry_run => true) -> 'realisations', '0', 'that the path was lost is no reason to forget who built it first: it is there again');
select is(pg_temp.prune() - 'leases', '{"derivations": 0, "realisations": 0, "resolutions": 1, "failures": 0, "goals": 1}',
          'old entries that are not in force are forgotten, those in force are not');
select is((select array_agg(build order by realisation) from resolver.realisation where derivation = t.number('r-mid')), array[t.id('first'), t.id('second')],
          'the trace of a path that is valid is whole');
select is(resolver.output_paths(t.drv('mid')), jsonb_build_object('out', t.path('r-mid')), 'the path is served on');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('r-mid'), 'name', 'out', 'path', t.path('other'))));
select resolver.invalidate_paths(array[t.path('other')]);
select t.pass('91 days');
select is(resolver.prune('90 days', p_dry_run => true) -> 'realisations', '1', 'another path that is gone');
select is(pg_temp.prune() -> 'realisations', '1', 'is forgotten');
select is(pg_temp.known(), '{mid,leaf,r-mid}', 'nothing else is lost');

-- Several derivations with one path: all of them have to be old.
select t.derivation('twin', '{leaf}');
select t.want('twin', 'twin');
select t.load();
select t.resolve('twin', 'r-mid', array[t.path('r-mid')]);
select is(t.ended('twin'), 'status 0 cached', 'another derivation is cut off by an old one');
select is(pg_temp.paths(), array[t.path('leaf')], 'the path of both is not asked for: one of them is recent');
select t.pass('91 days');
select is(array_length(pg_temp.paths(), 1), 2, 'until that is old, too');
select is((select array_agg(t.named(k.key) order by t.named(k.key)) from jsonb_each(resolver.prunable_paths('90 days') -> 'paths') k), '{leaf,mid,r-mid,twin}',
          'it is told for all that have it');
select pg_temp.lose_all();
select pg_temp.prune();
select is(pg_temp.known(), '{}', 'all of them go');

select t.derivation('both', p_outputs => '{out,dev}');
select t.want('both', 'both');
select t.work();
select t.pass('100 days');
select t.derivation('also');
select t.want('also', 'also');
select t.load();
select t.finish('also', jsonb_build_object('out', t.path('both')));
select is(pg_temp.paths(), '{}', 'with one of two paths in use, the other is not asked for either: the derivation stays');
select t.pass('100 days');
select pg_temp.lose_all();
select pg_temp.prune();

-- A path that was never served keeps its derivation as long as it is valid.
select t.derivation('moody');
select t.want('moody', 'moody');
select t.work();
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object('drv', t.drv('moody'), 'name', 'out', 'path', t.path('moody-2'))));
select t.pass('100 days');
select is(array_length(pg_temp.paths(), 1), 2, 'a second path of an output is asked for as well');
select resolver.invalidate_paths(array[t.path('moody')]);
select is(pg_temp.prune() -> 'derivations', '0', 'the trace of a path that is valid is never forgotten');
select resolver.invalidate_paths(array[t.path('moody-2')]);
select is(pg_temp.prune() -> 'derivations', '1', 'until that is gone as well');

-- Failures.
select t.derivation('bad');
select t.derivation('on-bad', '{bad}');
select t.derivation('above', '{on-bad}');
select t.want('above', 'above');
select t.load();
select t.fail('bad');
select t.pass('89 days');
select is(pg_temp.prune() -> 'derivations', '0', 'a failure is remembered');
select t.pass('2 days');
select is(pg_temp.prune() - 'leases', '{"derivations": 3, "realisations": 0, "resolutions": 0, "failures": 1, "goals": 1}',
          'and forgotten, with what failed for its sake');
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('above');
select resolver.sync_builds();
select t.load();
select t.fail('bad');
select t.pass('1 hour');
select t.want('above-2', 'above');
select is(t.ended('above-2'), 'status 2 cached', 'a new build ends by a failure that is known');
delete from resolver.goal where build in (t.id('above'), t.id('above-2'));
update Builds set finished = 0, isCachedBuild = 0 where id = t.id('above');
select resolver.sync_builds();
select is(t.stage('bad'), 'unloaded', 'one that was restarted has it tried again, though its end was forgotten');
select t.load();
select t.fail('bad', 'timeout', 7);
select t.pass('1 hour');
select resolver.restart_build(t.id('above'));
select t.work();
select t.pass('91 days');
select is(pg_temp.prune() -> 'failures', '3', 'failures that were cleared are forgotten, though the derivation is kept: two, and one that a restart recalled');
select is(t.stage('bad'), 'realised', 'that succeeded in the end');
select pg_temp.lose_all();
select pg_temp.prune();

-- A failure's build is elsewhere than the failure: its goal goes first.
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
          'what had failed is forgotten, with the end of a build whose own derivation stays');
select pg_temp.lose_all();
select pg_temp.prune();

-- A build that was cancelled in the middle leaves what is neither realised nor failed.
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
          'waiting waiting resolved buildable resolvable', 'under way');
select t.pass('100 days');
select is(pg_temp.prune() -> 'derivations', '0', 'an unfinished build keeps everything, however old');
select is(pg_temp.paths(), '{}', 'and no path of it is asked for');
select resolver.cancel_build(t.id('root'));
select is(pg_temp.prune() -> 'derivations', '0', 'it was cancelled just now');
select t.pass('100 days');
select resolver.sweep();
select t.worker();
select is((select stage || ' ' || (lease is null) from resolver.derivation_state where derivation = t.number('side')), 'resolvable true',
          'nobody has a claim any more');
select is(pg_temp.prune() -> 'derivations', '5', 'then all goes that nobody wants, and that has no valid output');
select is(pg_temp.known(), '{deep}', 'that is kept');
select is_empty('select * from resolver.invariant_violations()', 'no invariant is broken');
select pg_temp.lose_all();
select pg_temp.prune();

-- A claim keeps what it is about.
select t.derivation('held');
select t.want('held', 'held');
select t.load();
select t.claim('build');
select resolver.cancel_build(t.id('held'));
select t.pass('100 days');
select is(pg_temp.prune() -> 'derivations', '0', 'a derivation that a worker has in hand is kept');
select resolver.release_claims(t.worker_id(), array[t.lease('held', 'build')], 'cancelled');
select is(pg_temp.prune() -> 'derivations', '1', 'until it is given back');

-- In several calls: 250 derivations, and 250 leases, at a time.
insert into resolver.derivation (drv, name, system, kind)
select md5('many ' || n) || '-many.drv', 'many', 'x86_64-linux', 'floating' from generate_series(1, 600) n;
insert into resolver.derivation_state (derivation) select derivation from resolver.derivation;
insert into resolver.lease (derivation, verb, worker, opened_at, closed_at, outcome)
select derivation, 'load', t.worker_id(), resolver.clock() - interval '1 year', resolver.clock() - interval '1 year', 'done' from resolver.derivation
union all
select 0, 'load', t.worker_id(), resolver.clock() - interval '1 year', resolver.clock() - interval '1 year', 'done' from generate_series(1, 400);
create temporary table part as select resolver.prune('90 days') as answer;
select is((select answer -> 'derivations' from part), '250', 'one call forgets a bounded number');
select is((select answer -> 'leases' from part), '250', 'of leases, too');
select is((select (answer -> 'after')::bigint from part), (select min(derivation) - 1 from resolver.derivation), 'and says where to go on');
select is((select (answer -> 'leases')::integer from resolver.prune('90 days', p_dry_run => true) answer), 750, 'a dry run counts all leases at its beginning');
select is((select (answer -> 'leases')::integer from resolver.prune('90 days', 1, true) answer), 0, 'and only there');
create temporary table rest as select pg_temp.prune() as answer;
select is((select answer -> 'derivations' from rest), '350', 'further calls forget the rest');
select is((select answer -> 'leases' from rest), '750', 'and go on while there are leases');
select is(resolver.prunable_paths('90 days', 0) -> 'after', 'null', 'the end is told');

-- A build that was deleted from Hydra leaves what others use.
select t.want('one', 'top');
select t.work();
select t.pass('1 hour');
select t.want('two', 'user');
select t.work();
delete from Builds where id = t.id('one');
select resolver.sync_builds();
select t.pass('100 days');
select pg_temp.prune();
select is((select count(*) from resolver.realisation), 4::bigint, 'all realisations that are in force are kept');
select t.derivation('mid-2', '{leaf}');
select t.want('three', 'mid-2');
select t.load();
select t.resolve('mid-2', 'r-mid', array[t.path('r-mid')]);
select is(t.ended('three'), 'status 0 cached', 'and a later build is cut off by them');

-- The store.
select lives_ok($$select resolver.check_store('/nix/store', 'one')$$, 'the store that this database speaks about');
select throws_ok($$select resolver.check_store('/nix/store', 'two')$$, 'NX015', 'this database speaks about another store', 'another one');
select throws_ok($$select resolver.check_store('/gnu/store', 'one')$$, 'NX015', null, 'another directory');
delete from resolver.store;
select lives_ok($$select resolver.check_store('/nix/store', 'two')$$, 'a database that knows no store yet');
insert into resolver.store values (true, '/nix/store', 'one');

-- The trace of a path that is served through a resolution stays, though it was lost once: of the original, too.
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
select isnt((select ceased_at from resolver.realisation where derivation = t.number('served')), null, 'the original''s own realisation ceased');
select t.pass('91 days');
select pg_temp.prune();
select is((select path from resolver.output where derivation = t.number('served') and valid_since is not null), t.path('r-served'), 'its path is served');
select isnt_empty($$select from resolver.realisation where derivation = t.number('served') and path = t.path('r-served')$$, 'and its trace is kept');
select pg_temp.lose_all();
select pg_temp.prune();

select * from t.done();
rollback;
