-- register_worker(name, verbs, systems, features, store directory, store identity, ...): registers a worker.
\ir include/farm.sql

select results_eq(
    $$select name, verbs, systems, features, started_at, heartbeat, gone_at from resolver.worker$$,
    $$select 'worker', '{load,resolve,build}'::text[], '{x86_64-linux}'::text[], '{}'::text[], resolver.clock(), resolver.clock(), null::timestamptz$$,
    'the worker has its values');
select results_eq('select directory, identity from resolver.store', $$values ('/nix/store', 'one')$$,
                  'the first worker decides which store this database belongs to');
select isnt(resolver.register_worker('worker', '{load}', '{}', '{}', '/nix/store', 'one'), t.worker_id(),
            'two processes may have the same name');
select throws_ok($$select resolver.register_worker('w', '{load}', '{}', '{}', '/nix/store', 'two')$$, 'NX015',
                 'this database belongs to another store', 'another store is refused');
select throws_ok($$select resolver.register_worker('w', '{load}', '{}', '{}', '/gnu/store', 'one')$$, 'NX015',
                 'this database belongs to another store', 'another store directory is refused');
select lives_ok($$select resolver.register_worker('all', '{build}', '{}', '{}', '/nix/store', 'one', 4,
    '[{"machine": "ssh-ng://a", "systems": ["m68k-linux"]}]', '{"big-parallel": 1}', 'local')$$,
    'a worker may have jobs, builders, limits and a kind');
select results_eq(
    $$select w.jobs, b.machine, b.systems, b.features, b.mandatory, w.feature_limits, w.only_kind from resolver.worker w, unnest(w.builders) b$$,
    $$values (4, 'ssh-ng://a', '{m68k-linux}'::text[], '{}'::text[], '{}'::text[], '{"big-parallel": 1}'::jsonb, 'local')$$,
    'these values are recorded');
select throws_ok($$select resolver.register_worker('w', '{build}', '{}', '{}', '/nix/store', 'one', p_feature_limits => '{"kvm": "many"}')$$,
                 '22P02', null, 'a limit has to be a number');
select throws_ok($$select resolver.register_worker('w', '{build}', '{}', '{}', '/nix/store', 'one', p_only_kind => 'odd')$$, '23514', null,
                 'only two kinds are allowed');
select throws_ok($$select resolver.register_worker('w', '{dance}', '{}', '{}', '/nix/store', 'one')$$, '23514', null,
                 'only three verbs are allowed');
select is((select count(*) from resolver.worker), 3::bigint, 'refused workers are not registered');
select is(resolver.hydra_path('x'), '/nix/store/x', 'paths in Hydra''s tables are in that store');

select * from t.done();
rollback;
