-- record_step_start(lease, machine): a step waits for a slot until Nix names the machine.
\ir include/farm.sql

create function pg_temp.row(p_job text) returns text language sql as $$
    select concat_ws(' ', busy, coalesce(nullif(machine, ''), '-'), status) from BuildSteps where build = t.id(p_job)
$$;
select t.derivation('a');
select t.derivation('b');
select t.derivation('c');
select t.want(n, n) from unnest('{a,b,c}'::text[]) n;
select t.load();
select t.claim('build', 1);
select is(pg_temp.row('a'), '30 localhost', 'a worker without builders: it is built as soon as it is claimed');
select resolver.register_worker('remote', '{build}', '{}', '{}', '/nix/store', 'one',
                                p_builders => '[{"machine": "ssh-ng://far", "systems": ["x86_64-linux"], "features": ["ca-derivations"]}]');
select t.claim('build', 2, 'remote');
select is(pg_temp.row('b'), '35 -', 'with builders: it waits for a slot');
select t.pass('10 minutes');
select is(resolver.record_step_start(t.lease('b', 'build'), 'ssh-ng://far'), true, 'Nix names a machine');
select is(pg_temp.row('b'), '30 ssh-ng://far', 'then the row says so');
select t.pass('1 minute');
select is(resolver.record_step_start(t.lease('b', 'build'), 'ssh-ng://far'), true, 'once more: nothing changes');
select t.pass('1 minute');
select t.finish('b');
select results_eq($$select s.stopTime - s.startTime, b.stopTime - b.startTime from BuildSteps s join Builds b on b.id = s.build where b.id = t.id('b')$$,
                  'values (120, 120)', 'the step began when the machine did, and so did the build');
select results_eq($$select seconds from resolver.realisation where derivation = t.number('b')$$, 'values (120::real)', 'the trace says so as well');
select results_eq('select seconds from resolver.jobset_use', 'values (120::double precision)', 'what counts for the jobset is the time on a machine');
select t.fail('c', 'transient', 3);
select results_eq('select seconds from resolver.jobset_use', 'values (120::double precision)', 'waiting is no use of one');
select t.keep();
select is(resolver.record_step_start(t.lease('b', 'build'), 'elsewhere'), false, 'a claim that is over');
select is(resolver.record_step_start(0, 'elsewhere'), false, 'or that there never was');
select is(t.changed(), '{}', 'changes nothing');
select t.finish('a');
select resolver.cancel_build(t.id('c'));

select * from t.done();
rollback;
