-- trace(drv): all records of a derivation through time.
\ir include/farm.sql

select function_returns('resolver', 'trace', array['text'], 'jsonb', 'the function returns one object');
select volatility_is('resolver', 'trace', array['text'], 'stable', 'the function changes nothing');
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
-- Derivations that differ by a number, as derivations of one package differ by their hashes over time.
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

-- Realisations.
select t.derivation('up-1');
select t.derivation('down-1', '{up-1}');
select pg_temp.want('first', 'down-1', 'job');
select is(pg_temp.trace('down-1') - 'drv', '{"kind": "floating", "stage": "waiting", "producer": null, "realisations": [], "resolutions": [],
          "resolved_from": [], "failures": []}', 'a new derivation has an empty trace');
select t.claim('build');
select t.pass('20 seconds');
select t.finish('up-1', jsonb_build_object('out', t.path('up')));
select is(pg_temp.trace('up-1'), jsonb_build_object(
              'drv', t.drv('up-1'), 'kind', 'floating', 'stage', 'realised', 'resolutions', '[]'::jsonb,
              'resolved_from', '[]'::jsonb, 'failures', '[]'::jsonb, 'producer', null,
              'realisations', jsonb_build_array(jsonb_build_object(
                  'output', 'out', 'path', t.path('up'), 'source', 'built', 'build', t.id('first'), 'stepnr', 1, 'machine', 'here',
                  'seconds', 20, 'time', '2026-01-01T12:00:20+00:00', 'ceased', null))),
          'a realisation has output, path, source, step, machine, seconds and time');
select is(resolver.trace(t.full(t.drv('up-1'))), pg_temp.trace('up-1'), 'a full path gives the same trace as a base name');

-- Resolutions whose derivation was built.
select t.resolve('down-1', 'r-down');
select is(pg_temp.resolution('down-1'), jsonb_build_object(
              'resolved', t.drv('r-down'), 'build', t.id('first'), 'stepnr', 2, 'time', '2026-01-01T12:00:20+00:00',
              'released', null, 'cut_off', false, 'known_from', null, 'previous', null, 'difference', null,
              'realisations', '[]'::jsonb, 'failures', '[]'::jsonb,
              'inputs', jsonb_build_array(jsonb_build_array(t.drv('up-1'), 'out', t.path('up')))),
          'a resolution has the resolved derivation, step, inputs and time');
select t.claim('build');
select t.pass('90 seconds');
select t.finish('r-down');
select is(pg_temp.resolution('down-1') -> 'cut_off', 'false', 'a resolution that was built is not cut off');
select is(pg_temp.resolution('down-1') #> '{realisations,0,seconds}', '90', 'the resolved derivation has realisations');
select is(pg_temp.trace('r-down') -> 'resolved_from', jsonb_build_array(jsonb_build_object(
              'drv', t.drv('down-1'), 'build', t.id('first'), 'time', '2026-01-01T12:00:20+00:00', 'cut_off', false, 'in_force', true)),
          'the trace of the resolved derivation has its followers');

-- Cut off by the memo: another derivation, of the same job.
select t.pass('1 day');
select t.derivation('up-2');
select t.derivation('down-2', '{up-2}');
select pg_temp.want('second', 'down-2', 'job');
select t.finish('up-2', jsonb_build_object('out', t.path('up')));
select t.resolve('down-2', 'r-down', array[t.path('r-down')]);
select is(t.ended('second'), 'status 0 cached', 'the second build ends at once');
select is(pg_temp.resolution('down-2') -> 'cut_off', 'true', 'the resolution is cut off');
select is(pg_temp.resolution('down-2') -> 'known_from', jsonb_build_object(
              'build', t.id('first'), 'stepnr', 3, 'source', 'built', 'time', '2026-01-01T12:01:50+00:00', 'seconds', 90),
          'the resolution has the step of the first build, with its seconds');
select is(pg_temp.resolution('down-2') -> 'previous', jsonb_build_object(
              'drv', t.drv('down-1'), 'resolved', t.drv('r-down'), 'build', t.id('first')),
              'the resolution has the previous one of its job');
select is(pg_temp.resolution('down-2') -> 'difference', 'null', 'the two resolutions do not differ: only the derivation of the input does');

-- Differences.
select t.pass('1 day');
select t.derivation('up-3');
select t.derivation('down-3', '{up-3}');
select pg_temp.want('third', 'down-3', 'job');
select t.finish('up-3', jsonb_build_object('out', t.path('up-new')));
select t.resolve('down-3', 'r-down-3');
select t.finish('r-down-3');
select is(pg_temp.resolution('down-3') -> 'previous' ->> 'drv', t.drv('down-2'), 'the comparison is with the latest previous resolution');
select is(pg_temp.resolution('down-3') -> 'difference', pg_temp.difference('up', 'out', t.path('up-new'), t.path('up')),
          'the input has another path than before');
select is(pg_temp.resolution('down-3') -> 'cut_off', 'false', 'the resolution was built');

-- Another job of the jobset; then the same job again, which counts before a newer resolution of another job.
select t.pass('1 day');
select t.derivation('up-4');
select t.derivation('down-4', '{up-4}');
select pg_temp.want('other', 'down-4', 'another job');
select t.finish('up-4', jsonb_build_object('out', t.path('up')));
select t.resolve('down-4', 'r-down', array[t.path('r-down')]);
select is(pg_temp.resolution('down-4') -> 'previous' ->> 'drv', t.drv('down-3'),
          'without a previous resolution of the same job, one of another job counts');
select t.derivation('up-5');
select t.derivation('down-5', '{up-5}');
select pg_temp.want('fifth', 'down-5', 'job');
select t.finish('up-5', jsonb_build_object('out', t.path('up-new')));
select t.resolve('down-5', 'r-down-3', array[t.path('r-down-3')]);
select is(pg_temp.resolution('down-5') -> 'previous' ->> 'drv', t.drv('down-3'),
          'a resolution of the same job counts before a later one of another job');
select is(pg_temp.resolution('down-5') -> 'difference', 'null', 'the two resolutions do not differ');
insert into Projects (name, displayName, owner) values ('elsewhere', '', 'someone');
insert into Jobsets (project, name, nixExprInput, nixExprPath, emailOverride) values ('elsewhere', 'jobset', '', '', '');
update Builds set jobset_id = (select id from Jobsets where project = 'elsewhere') where id = t.id('fifth');
select is(pg_temp.resolution('down-5') -> 'previous', 'null', 'a resolution of another jobset never counts');

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
select is(pg_temp.resolution('twin-a') -> 'cut_off', 'false', 'of two resolutions that share an attempt, one has the attempt');
select is(pg_temp.resolution('twin-b') -> 'cut_off', 'true', 'the other resolution is cut off');
select is(pg_temp.resolution('twin-b') -> 'known_from' -> 'build', to_jsonb(t.id('twin-a')),
          'the cut-off has the attempt of the first build');
select is(pg_temp.seconds('twin-b'), 40, 'the attempt took 40 seconds');

-- The later of two resolutions has the attempt if it is on the account of its build: the build with the lowest number.
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
select is(pg_temp.resolution('account-a') -> 'cut_off', 'true',
          'the first resolution is cut off if the attempt is not on the account of its build');
select is(pg_temp.resolution('account-b') -> 'cut_off', 'false', 'the second resolution has the attempt');
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
          'of two resolutions in one build, the second is cut off');
select t.work();

-- Found in the store.
select t.derivation('there', '{up-1}');
select t.want('there', 'there');
select t.load();
select t.claim('resolve');
select resolver.set_resolved_to(jsonb_build_array(
    jsonb_set(t.resolution('there', 'r-there'), '{resolved,outputs}',
              jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-there'), 'valid', true)))));
select is(pg_temp.resolution('there') -> 'cut_off', 'true', 'a resolution whose outputs the store has is cut off');
select is(pg_temp.resolution('there') -> 'known_from' -> 'source', '"local"', 'the outputs were found in the store');
select is(pg_temp.seconds('there'), null, 'the saved time is unknown');

-- One of two outputs is found while it waits.
select t.derivation('part', '{up-1}', p_outputs => '{out,dev}');
select t.derivation('part-user', '{"part^out,dev"}');
select t.want('part', 'part-user');
select t.load();
select t.resolve('part', 'r-part');
select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object(
    'drv', t.drv('r-part'), 'name', 'out', 'path', t.path('r-part'))));
select is(pg_temp.resolution('part') -> 'cut_off', 'false', 'if one of two outputs is found, the follower waits for the other');
select t.finish('r-part');
select is(pg_temp.resolution('part') -> 'cut_off', 'false', 'the resolution has an attempt of its own');
select t.work();

-- Lost, released, and built again.
select t.pass('1 day');
select resolver.invalidate_paths(array[t.path('r-down')]);
select t.store_loses(t.path('r-down'));
select is(pg_temp.trace('r-down') #>> '{realisations,0,ceased}', (resolver.clock() at time zone 'UTC')::date || 'T12:02:30+00:00',
          'the realisation of a lost path has ceased');
select is(pg_temp.resolution('down-1') ->> 'released', pg_temp.trace('r-down') #>> '{realisations,0,ceased}',
          'the resolution of a lost path is released');
select t.pass('1 hour');
select pg_temp.want('again', 'down-1', 'job');
select t.resolve('down-1', 'r-down');
select t.claim('build');
select t.pass('70 seconds');
select t.finish('r-down');
select is(jsonb_array_length(pg_temp.trace('r-down') -> 'realisations'), 2, 'after a second build, the derivation has two realisations');
select is(jsonb_array_length(pg_temp.trace('down-1') -> 'resolutions'), 2, 'after a second resolution, the follower has two resolutions');
select is(pg_temp.resolution('down-1') -> 'cut_off', 'false', 'the second resolution was built');
select is(pg_temp.resolution('down-1') -> 'previous' ->> 'drv', t.drv('down-3'),
          'the second resolution is compared with the latest one of its job');
select is(pg_temp.resolution('down-1', 0) -> 'cut_off', 'false', 'the record of the first resolution stays');
select is(pg_temp.seconds('down-2'), 90, 'an earlier cut-off has the earlier attempt');
select pg_temp.want('later', 'down-2', 'job');
select t.resolve('down-2', 'r-down', array[t.path('r-down')]);
select is(pg_temp.seconds('down-2'), 70, 'a later cut-off has the later attempt');

-- Failures.
select t.derivation('bad', '{up-1}');
select t.want('bad', 'bad');
select t.load();
select t.resolve('bad', 'r-bad');
select t.fail('r-bad');
select is((pg_temp.trace('r-bad') #> '{failures,0}') - 'time', jsonb_build_object(
              'class', 'builder', 'status', 1, 'message', 'r-bad is broken', 'build', t.id('bad'), 'stepnr', 2, 'cleared', null),
          'the trace of the built derivation has the failure');
select is(pg_temp.resolution('bad') -> 'failures', pg_temp.trace('r-bad') -> 'failures',
          'the resolution has the failures of its resolved derivation');
select is(pg_temp.trace('bad') -> 'failures', '[]', 'the follower has no failure of its own');
select t.pass('1 hour');
select resolver.restart_build(t.id('bad'));
select isnt(pg_temp.trace('r-bad') #>> '{failures,0,cleared}', null, 'the trace has the failure after it was cleared');
select t.work();
select is(pg_temp.resolution('bad') -> 'cut_off', 'false', 'a failed resolution is no cut-off');

-- If a build is deleted, the trace that other builds use stays.
create temporary table before as
    select pg_temp.trace('r-down') -> 'realisations' as realisations, pg_temp.trace('down-2') -> 'resolutions' as resolutions;
delete from Builds where id in (t.id('first'), t.id('second'));
select resolver.sync_builds();
select is(pg_temp.trace('r-down') -> 'realisations', (select realisations from before), 'realisations of deleted builds stay');
select is((pg_temp.trace('down-2') #> '{resolutions,0}') - '{previous,difference}'::text[],
          (select resolutions -> 0 from before) - '{previous,difference}'::text[], 'resolutions of deleted builds stay');
select is(pg_temp.seconds('down-2'), 70, 'the saved time is still known');
select t.derivation('up-6');
select t.derivation('down-6', '{up-6}');
select pg_temp.want('sixth', 'down-6', 'job');
select t.finish('up-6', jsonb_build_object('out', t.path('up')));
select t.resolve('down-6', 'r-down', array[t.path('r-down')]);
select is(t.ended('sixth'), 'status 0 cached', 'a later build is cut off by them');

-- first_difference(): inputs of one name; added, removed and pruned inputs.
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
          'two inputs of one name with the same two paths do not differ, in any order');
select is(pg_temp.differ('{up-1^out,up-2^out}', '{a,c}', '{up-3^out,up-4^out}', '{a,b}'),
          pg_temp.difference('up', 'out', t.path('c'), t.path('b')), 'if one of them has another path, the result has it');
select is(pg_temp.differ('{up-1^out,up-2^out}', '{a,a}', '{up-3^out,up-4^out}', '{a,a}'), null,
          'two inputs with one path, before and after, do not differ');
select is(pg_temp.differ('{up-1^out,r-twin^out}', '{a,b}', '{up-1^out}', '{a}'),
          pg_temp.difference('r-twin', 'out', t.path('b'), null), 'the result has an added input');
select is(pg_temp.differ('{up-1^out}', '{a}', '{up-1^out,r-twin^dev}', '{a,b}'),
          pg_temp.difference('r-twin', 'dev', null, t.path('b')), 'the result has a removed input');
select is(pg_temp.differ('{up-1^out,up-1^dev}', '{a,b}', '{up-1^out,up-1^dev}', '{b,a}'),
          pg_temp.difference('up', 'out', t.path('a'), t.path('b')),
          'outputs are compared one by one; the result has the first in the order of sampling');
select is(pg_temp.differ('{}', '{}', '{}', '{}'), null, 'two empty resolutions do not differ');
select is(pg_temp.differ('{gone^out,gone^dev}', '{tool-1,tool-1-dev}', '{up-1^out,gone^dev}', '{a,tool-2-dev}'),
          pg_temp.difference('tool-1', 'out', t.path('tool-1'), null), 'a pruned input is named by its path');
select is(pg_temp.differ('{gone^dev}', '{tool-dev}', '{gone^dev}', '{tool-dev}'), null, 'a pruned input is compared by its path');
delete from resolver.resolution where time = released_at;

select t.work();
select * from t.done();
rollback;
