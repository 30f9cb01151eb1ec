-- trace(drv): everything that is known of a derivation through time.
\ir include/farm.sql

select function_returns('resolver', 'trace', array['text'], 'jsonb', 'it answers with one object');
select volatility_is('resolver', 'trace', array['text'], 'stable', 'it changes nothing');
select is(resolver.trace(t.drv('nobody')), null, 'an unknown derivation has no trace');

create function pg_temp.trace(p_name text) returns jsonb language sql stable as $$
    select resolver.trace(t.drv(p_name))
$$;
-- The nth resolution, from 0; negative: from the end.
create function pg_temp.resolution(p_name text, p_number integer default -1) returns jsonb language sql stable as $$
    select resolver.trace(t.drv(p_name)) -> 'resolutions' -> p_number
$$;
create function pg_temp.seconds(p_name text) returns integer language sql stable as $$
    select (pg_temp.resolution(p_name) -> 'known_from' ->> 'seconds')::integer
$$;
-- Derivations that are told apart by a number, as those of one package through time are by their hashes.
create function pg_temp.same_names() returns void language sql as $$
    update resolver.derivation set name = regexp_replace(name, '-[0-9]+$', '') where name ~ '-[0-9]+$'
$$;
create function pg_temp.want(p_job text, p_name text, p_as text) returns void language sql as $$
    select t.want(p_job, p_name);
    update Builds set job = p_as where id = t.id(p_job);
    select t.load();
    select pg_temp.same_names();
$$;
create function pg_temp.difference(p_input text, p_output text, p_path text, p_before text) returns jsonb language sql immutable as $$
    select jsonb_build_object('input', p_input, 'output', p_output, 'path', p_path, 'before', p_before)
$$;

-- What was built.
select t.derivation('up-1');
select t.derivation('down-1', '{up-1}');
select pg_temp.want('first', 'down-1', 'job');
select is(pg_temp.trace('down-1') - 'drv', '{"kind": "floating", "stage": "waiting", "producer": null, "realisations": [], "resolutions": [],
          "resolved_from": [], "failures": []}', 'nothing has happened yet');
select t.claim('build');
select t.pass('20 seconds');
select t.finish('up-1', jsonb_build_object('out', t.path('up')));
select is(pg_temp.trace('up-1'), jsonb_build_object(
              'drv', t.drv('up-1'), 'kind', 'floating', 'stage', 'realised', 'resolutions', '[]'::jsonb,
              'resolved_from', '[]'::jsonb, 'failures', '[]'::jsonb, 'producer', null,
              'realisations', jsonb_build_array(jsonb_build_object(
                  'output', 'out', 'path', t.path('up'), 'source', 'built', 'build', t.id('first'), 'stepnr', 1, 'machine', 'here',
                  'seconds', 20, 'time', '2026-01-01T12:00:20+00:00', 'ceased', null))),
          'a realisation says what, how, for which step, where, how long and when');
select is(resolver.trace(t.full(t.drv('up-1'))), pg_temp.trace('up-1'), 'a full path does as well as a base name');

-- What was resolved, and then built.
select t.resolve('down-1', 'r-down');
select is(pg_temp.resolution('down-1'), jsonb_build_object(
              'resolved', t.drv('r-down'), 'build', t.id('first'), 'stepnr', 2, 'time', '2026-01-01T12:00:20+00:00',
              'released', null, 'cut_off', false, 'known_from', null, 'previous', null, 'difference', null,
              'realisations', '[]'::jsonb, 'failures', '[]'::jsonb,
              'inputs', jsonb_build_array(jsonb_build_array(t.drv('up-1'), 'out', t.path('up')))),
          'a resolution says to what, for which step, from what and when');
select t.claim('build');
select t.pass('90 seconds');
select t.finish('r-down');
select is(pg_temp.resolution('down-1') -> 'cut_off', 'false', 'it was built for its sake: nothing was cut off');
select is(pg_temp.resolution('down-1') #> '{realisations,0,seconds}', '90', 'what it was resolved to has realisations');
select is(pg_temp.trace('r-down') -> 'resolved_from', jsonb_build_array(jsonb_build_object(
              'drv', t.drv('down-1'), 'build', t.id('first'), 'time', '2026-01-01T12:00:20+00:00', 'cut_off', false, 'in_force', true)),
          'and knows what was resolved to it');

-- Cut off by the memo: another derivation, of the same job.
select t.pass('1 day');
select t.derivation('up-2');
select t.derivation('down-2', '{up-2}');
select pg_temp.want('second', 'down-2', 'job');
select t.finish('up-2', jsonb_build_object('out', t.path('up')));
select t.resolve('down-2', 'r-down', array[t.path('r-down')]);
select is(t.ended('second'), 'status 0 cached', 'the second one ends at once');
select is(pg_temp.resolution('down-2') -> 'cut_off', 'true', 'it was cut off');
select is(pg_temp.resolution('down-2') -> 'known_from', jsonb_build_object(
              'build', t.id('first'), 'stepnr', 3, 'source', 'built', 'time', '2026-01-01T12:01:50+00:00', 'seconds', 90),
          'with what the first build had built, in so many seconds');
select is(pg_temp.resolution('down-2') -> 'previous', jsonb_build_object(
              'drv', t.drv('down-1'), 'resolved', t.drv('r-down'), 'build', t.id('first')), 'the one before it in its job is named');
select is(pg_temp.resolution('down-2') -> 'difference', 'null', 'from which it does not differ: only the derivation of its input does');

-- What differed.
select t.pass('1 day');
select t.derivation('up-3');
select t.derivation('down-3', '{up-3}');
select pg_temp.want('third', 'down-3', 'job');
select t.finish('up-3', jsonb_build_object('out', t.path('up-new')));
select t.resolve('down-3', 'r-down-3');
select t.finish('r-down-3');
select is(pg_temp.resolution('down-3') -> 'previous' ->> 'drv', t.drv('down-2'), 'the latest one before is compared with');
select is(pg_temp.resolution('down-3') -> 'difference', pg_temp.difference('up', 'out', t.path('up-new'), t.path('up')),
          'its input has another path than before');
select is(pg_temp.resolution('down-3') -> 'cut_off', 'false', 'so it was built');

-- Another job of the jobset; then the same job again, which goes before what is newer.
select t.pass('1 day');
select t.derivation('up-4');
select t.derivation('down-4', '{up-4}');
select pg_temp.want('other', 'down-4', 'another job');
select t.finish('up-4', jsonb_build_object('out', t.path('up')));
select t.resolve('down-4', 'r-down', array[t.path('r-down')]);
select is(pg_temp.resolution('down-4') -> 'previous' ->> 'drv', t.drv('down-3'),
          'an input of several jobs is resolved on the account of any: without one of the same job, another job will do');
select t.derivation('up-5');
select t.derivation('down-5', '{up-5}');
select pg_temp.want('fifth', 'down-5', 'job');
select t.finish('up-5', jsonb_build_object('out', t.path('up-new')));
select t.resolve('down-5', 'r-down-3', array[t.path('r-down-3')]);
select is(pg_temp.resolution('down-5') -> 'previous' ->> 'drv', t.drv('down-3'), 'one of the same job goes before a later one of another');
select is(pg_temp.resolution('down-5') -> 'difference', 'null', 'with which it agrees');
insert into Projects (name, displayName, owner) values ('elsewhere', '', 'someone');
insert into Jobsets (project, name, nixExprInput, nixExprPath, emailOverride) values ('elsewhere', 'jobset', '', '', '');
update Builds set jobset_id = (select id from Jobsets where project = 'elsewhere') where id = t.id('fifth');
select is(pg_temp.resolution('down-5') -> 'previous', 'null', 'one of another jobset is never compared with');

-- Shared while it was under way.
select t.pass('1 day');
select t.derivation('twin-a', '{up-1}');
select t.derivation('twin-b', '{up-1}');
select t.want('twin-a', 'twin-a');
select t.want('twin-b', 'twin-b');
select t.load();
select t.claim('resolve');
select t.resolve('twin-a', 'r-twin');
select t.claim('build');
select t.pass('10 seconds');
select t.resolve('twin-b', 'r-twin');
select t.pass('30 seconds');
select t.finish('r-twin');
select is(pg_temp.resolution('twin-a') -> 'cut_off', 'false', 'of two that share an attempt, one has it to itself');
select is(pg_temp.resolution('twin-b') -> 'cut_off', 'true', 'the other was cut off');
select is(pg_temp.resolution('twin-b') -> 'known_from' -> 'build', to_jsonb(t.id('twin-a')), 'by the attempt of the first');
select is(pg_temp.seconds('twin-b'), 40, 'which took 40 seconds');

-- The later of two has the attempt, when its build has the account: the root with the lowest number.
select t.derivation('account-a', '{up-1}');
select t.derivation('account-user', '{account-a}');
select t.derivation('account-b', '{up-1}');
select t.want('account-b', 'account-b');
select t.want('account-user', 'account-user');
select t.load();
select t.claim('resolve');
select t.resolve('account-a', 'r-account');
select t.resolve('account-b', 'r-account');
select t.finish('r-account');
select is(pg_temp.resolution('account-a') -> 'cut_off', 'true', 'the first was cut off when the attempt was not on the account of its build');
select is(pg_temp.resolution('account-b') -> 'cut_off', 'false', 'but of that of the second');
select t.work();

-- Two derivations of one build that resolve to one.
select t.derivation('half-a', '{up-1}');
select t.derivation('half-b', '{up-2}');
select t.derivation('halves', '{half-a,half-b}');
select t.want('halves', 'halves');
select t.load();
select t.claim('resolve');
select t.resolve('half-a', 'r-half');
select t.resolve('half-b', 'r-half');
select t.finish('r-half');
select is(array[pg_temp.resolution('half-a') -> 'cut_off', pg_temp.resolution('half-b') -> 'cut_off'], '{false,true}',
          'of two in one build, the second was cut off');
select t.work();

-- Found in the store.
select t.derivation('there', '{up-1}');
select t.want('there', 'there');
select t.load();
select t.claim('resolve');
select resolver.set_resolved_to(jsonb_build_array(
    jsonb_set(t.resolution('there', 'r-there'), '{resolved,outputs}',
              jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-there'), 'valid', true)))));
select is(pg_temp.resolution('there') -> 'cut_off', 'true', 'what the store had already was cut off');
select is(pg_temp.resolution('there') -> 'known_from' -> 'source', '"local"', 'it was found there');
select is(pg_temp.seconds('there'), null, 'nobody knows what that spared');

-- One of two outputs is found while it waits.
select t.derivation('part', '{up-1}', p_outputs => '{out,dev}');
select t.derivation('part-user', '{"part^out,dev"}');
select t.want('part', 'part-user');
select t.load();
select t.resolve('part', 'r-part');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object(
    'drv', t.drv('r-part'), 'name', 'out', 'path', t.path('r-part'))));
select is(pg_temp.resolution('part') -> 'cut_off', 'false', 'one of two outputs was found: it goes on waiting for the other');
select t.finish('r-part');
select is(pg_temp.resolution('part') -> 'cut_off', 'false', 'and was built for its sake');
select t.work();

-- Lost, released, and built again.
select t.pass('1 day');
select resolver.invalidate_paths(array[t.path('r-down')]);
select t.store_loses(t.path('r-down'));
select is(pg_temp.trace('r-down') #>> '{realisations,0,ceased}', (resolver.clock() at time zone 'UTC')::date || 'T12:02:30+00:00',
          'a path that was lost ceased to be valid');
select is(pg_temp.resolution('down-1') ->> 'released', pg_temp.trace('r-down') #>> '{realisations,0,ceased}',
          'and what was resolved to it is released');
select t.pass('1 hour');
select pg_temp.want('again', 'down-1', 'job');
select t.resolve('down-1', 'r-down');
select t.claim('build');
select t.pass('70 seconds');
select t.finish('r-down');
select is(jsonb_array_length(pg_temp.trace('r-down') -> 'realisations'), 2, 'built again, it has two realisations');
select is(jsonb_array_length(pg_temp.trace('down-1') -> 'resolutions'), 2, 'and the derivation two resolutions');
select is(pg_temp.resolution('down-1') -> 'cut_off', 'false', 'the second was built');
select is(pg_temp.resolution('down-1') -> 'previous' ->> 'drv', t.drv('down-3'), 'it is compared with the latest of its job');
select is(pg_temp.resolution('down-1', 0) -> 'cut_off', 'false', 'what is said of the first stays');
select is(pg_temp.seconds('down-2'), 90, 'an earlier cut-off was by the earlier attempt');
select pg_temp.want('later', 'down-2', 'job');
select t.resolve('down-2', 'r-down', array[t.path('r-down')]);
select is(pg_temp.seconds('down-2'), 70, 'a later one by the later attempt');

-- Failures.
select t.derivation('bad', '{up-1}');
select t.want('bad', 'bad');
select t.load();
select t.resolve('bad', 'r-bad');
select t.fail('r-bad');
select is((pg_temp.trace('r-bad') #> '{failures,0}') - 'time', jsonb_build_object(
              'class', 'builder', 'status', 1, 'message', 'r-bad is broken', 'build', t.id('bad'), 'stepnr', 2, 'cleared', null),
          'a failure is in the trace of what was built');
select is(pg_temp.resolution('bad') -> 'failures', pg_temp.trace('r-bad') -> 'failures', 'and in that of what was resolved to it');
select is(pg_temp.trace('bad') -> 'failures', '[]', 'which did not fail itself');
select t.pass('1 hour');
select resolver.restart_build(t.id('bad'));
select isnt(pg_temp.trace('r-bad') #>> '{failures,0,cleared}', null, 'also after it was cleared');
select t.work();
select is(pg_temp.resolution('bad') -> 'cut_off', 'false', 'a failure is no cut-off');

-- A deleted build leaves the trace that others use.
create temporary table before as
    select pg_temp.trace('r-down') -> 'realisations' as realisations, pg_temp.trace('down-2') -> 'resolutions' as resolutions;
delete from Builds where id in (t.id('first'), t.id('second'));
select resolver.sync_builds();
select is(pg_temp.trace('r-down') -> 'realisations', (select realisations from before), 'builds are deleted: their realisations stay');
select is((pg_temp.trace('down-2') #> '{resolutions,0}') - '{previous,difference}'::text[],
          (select resolutions -> 0 from before) - '{previous,difference}'::text[], 'so do the resolutions');
select is(pg_temp.seconds('down-2'), 70, 'and what they spared is known');
select t.derivation('up-6');
select t.derivation('down-6', '{up-6}');
select pg_temp.want('sixth', 'down-6', 'job');
select t.finish('up-6', jsonb_build_object('out', t.path('up')));
select t.resolve('down-6', 'r-down', array[t.path('r-down')]);
select is(t.ended('sixth'), 'status 0 cached', 'a build that comes later is cut off with them');

-- first_difference(): inputs of one name, inputs that were added, that are gone, that were forgotten.
create function pg_temp.made_from(p_inputs text[], p_paths text[]) returns bigint language sql as $$
    insert into resolver.resolution (derivation, resolved, inputs, outputs, paths, time, released_at)
    select t.number('down-1'), t.number('r-down'), array(select t.number(split_part(i, '^', 1)) from unnest(p_inputs) i),
           array(select split_part(i, '^', 2) from unnest(p_inputs) i), array(select t.path(p) from unnest(p_paths) p),
           resolver.clock(), resolver.clock()
    returning resolution
$$;
create function pg_temp.differ(p_inputs text[], p_paths text[], p_other_inputs text[], p_other_paths text[]) returns jsonb language plpgsql as $$
declare
    v_one   bigint := pg_temp.made_from(p_inputs, p_paths);
    v_other bigint := pg_temp.made_from(p_other_inputs, p_other_paths);
begin
    return resolver.first_difference(v_one, v_other);
end
$$;
select is(pg_temp.differ('{up-1^out,up-2^out}', '{a,b}', '{up-3^out,up-4^out}', '{b,a}'), null,
          'two inputs of one name with two paths: the same, in whatever order');
select is(pg_temp.differ('{up-1^out,up-2^out}', '{a,c}', '{up-3^out,up-4^out}', '{a,b}'),
          pg_temp.difference('up', 'out', t.path('c'), t.path('b')), 'one of them has another path');
select is(pg_temp.differ('{up-1^out,up-2^out}', '{a,a}', '{up-3^out,up-4^out}', '{a,a}'), null, 'both have one path, before and after');
select is(pg_temp.differ('{up-1^out,r-twin^out}', '{a,b}', '{up-1^out}', '{a}'),
          pg_temp.difference('r-twin', 'out', t.path('b'), null), 'an input was added');
select is(pg_temp.differ('{up-1^out}', '{a}', '{up-1^out,r-twin^dev}', '{a,b}'),
          pg_temp.difference('r-twin', 'dev', null, t.path('b')), 'an input is gone');
select is(pg_temp.differ('{up-1^out,up-1^dev}', '{a,b}', '{up-1^out,up-1^dev}', '{b,a}'),
          pg_temp.difference('up', 'out', t.path('a'), t.path('b')), 'outputs are told apart; the first in the order of sampling is named');
select is(pg_temp.differ('{}', '{}', '{}', '{}'), null, 'none at all');
select is(pg_temp.differ('{gone^out,gone^dev}', '{tool-1,tool-1-dev}', '{up-1^out,gone^dev}', '{a,tool-2-dev}'),
          pg_temp.difference('tool-1', 'out', t.path('tool-1'), null), 'an input that was forgotten is known by its path');
select is(pg_temp.differ('{gone^dev}', '{tool-dev}', '{gone^dev}', '{tool-dev}'), null, 'and compared by it');
delete from resolver.resolution where time = released_at;

select t.work();
select * from t.done();
rollback;
