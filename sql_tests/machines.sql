-- machines(): the machines that build, and their running steps.
\ir include/farm.sql

select is(resolver.machines() -> 'localhost', '{"systems": ["x86_64-linux"], "features": [], "mandatory": [], "jobs": null, "running": 0}',
          'a worker''s own machine is localhost; this worker did not report its jobs');
select resolver.register_worker('second', '{build}', '{i686-linux,x86_64-linux}', '{kvm}', '/nix/store', 'one', 4,
    '[{"machine": "ssh-ng://a", "systems": ["m68k-linux"], "features": ["kvm", "big"], "mandatory": ["big"]}]');
select resolver.register_worker('remote', '{build}', '{}', '{}', '/nix/store', 'one', 2,
    '[{"machine": "ssh-ng://a", "systems": ["riscv64-linux"]}]');
select resolver.register_worker('loads', '{load}', '{mips-linux}', '{}', '/nix/store', 'one', 9);
select is(resolver.machines(), jsonb_build_object(
    'localhost', '{"systems": ["x86_64-linux", "i686-linux"], "features": ["kvm"], "mandatory": [], "jobs": 4, "running": 0}'::jsonb,
    'ssh-ng://a', '{"systems": ["m68k-linux", "riscv64-linux"], "features": ["big", "kvm"], "mandatory": ["big"], "jobs": null, "running": 0}'::jsonb),
    'the values of several workers for one machine are merged; a worker that does not build has no machine');

select t.derivation('here');
select t.derivation('there');
select t.want('here', 'here');
select t.want('there', 'there');
select t.load();
select t.claim('build');
select resolver.record_step_start(t.lease('there', 'build'), 'ssh-ng://a');
select is(jsonb_path_query_array(resolver.machines(), '$.*.running'), '[1, 1]', 'each step counts for the machine that Nix named');

select resolver.deregister_worker(worker) from resolver.worker;
select is(resolver.machines(), '{}', 'a worker that has left has no machine');

select * from t.done();
