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
select is(pg_temp.row('a'), '30 localhost', 'a worker without builders builds as soon as it claims');
select resolver.register_worker('remote', '{build}', '{}', '{}', '/nix/store', 'one',
                                p_builders => '[{"machine": "ssh-ng://far", "systems": ["x86_64-linux"], "features": ["ca-derivations"]}]');
select t.claim('build', 2, 'remote');
select is(pg_temp.row('b'), '35 -', 'a step of a worker with builders waits for a slot');
select t.pass('10 minutes');
select is(resolver.record_step_start(t.lease('b', 'build'), 'ssh-ng://far'), true, 'Nix names a machine');
select is(pg_temp.row('b'), '30 ssh-ng://far', 'the row has the machine');
select t.pass('1 minute');
select is(resolver.record_step_start(t.lease('b', 'build'), 'ssh-ng://far'), true, 'a second call changes nothing');
select t.pass('1 minute');
select t.finish('b');
select results_eq($$select s.stopTime - s.startTime, b.stopTime - b.startTime from BuildSteps s join Builds b on b.id = s.build where b.id = t.id('b')$$,
                  'values (120, 120)', 'the step and the build begin when the machine begins');
select results_eq($$select seconds from resolver.realisation where derivation = t.number('b')$$, 'values (120::real)',
                  'the trace has the time on the machine');
select results_eq('select seconds from resolver.jobset_use', 'values (120::double precision)',
                  'the time on a machine counts for the jobset');
select t.fail('c', 'transient', 3);
select results_eq('select seconds from resolver.jobset_use', 'values (120::double precision)', 'waiting does not count for the jobset');
select t.keep();
select is(resolver.record_step_start(t.lease('b', 'build'), 'elsewhere'), false, 'a claim that is over is refused');
select is(resolver.record_step_start(0, 'elsewhere'), false, 'an unknown claim is refused');
select is(t.changed(), '{}', 'the refused calls change nothing');
select t.finish('a');
select resolver.cancel_build(t.id('c'));

select * from t.done();
rollback;
