-- register_worker(name, verbs, systems, features, store directory, store identity, ...): a worker introduces itself.
\ir include/farm.sql

select results_eq(
    $$select name, verbs, systems, features, started_at, heartbeat, gone_at from resolver.worker$$,
    $$select 'worker', '{load,resolve,build}'::text[], '{x86_64-linux}'::text[], '{}'::text[], resolver.clock(), resolver.clock(), null::timestamptz$$,
    'what it can do is known');
select results_eq('select directory, identity from resolver.store', $$values ('/nix/store', 'one')$$,
                  'the first worker says which store this database speaks about');
select isnt(resolver.register_worker('worker', '{load}', '{}', '{}', '/nix/store', 'one'), t.worker_id(),
            'the same name twice: two processes');
select throws_ok($$select resolver.register_worker('w', '{load}', '{}', '{}', '/nix/store', 'two')$$, 'NX015',
                 'this database speaks about another store', 'another store is refused');
select throws_ok($$select resolver.register_worker('w', '{load}', '{}', '{}', '/gnu/store', 'one')$$, 'NX015',
                 'this database speaks about another store', 'also one with another directory');
select lives_ok($$select resolver.register_worker('all', '{build}', '{}', '{}', '/nix/store', 'one', 4,
    '[{"machine": "ssh-ng://a", "systems": ["m68k-linux"]}]', '{"big-parallel": 1}', 'local')$$, 'what it takes may be said more exactly');
select results_eq(
    $$select w.jobs, b.machine, b.systems, b.features, b.mandatory, w.feature_limits, w.only_kind from resolver.worker w, unnest(w.builders) b$$,
    $$values (4, 'ssh-ng://a', '{m68k-linux}'::text[], '{}'::text[], '{}'::text[], '{"big-parallel": 1}'::jsonb, 'local')$$, 'and is known');
select throws_ok($$select resolver.register_worker('w', '{build}', '{}', '{}', '/nix/store', 'one', p_feature_limits => '{"kvm": "many"}')$$,
                 '22P02', null, 'a limit is a number');
select throws_ok($$select resolver.register_worker('w', '{build}', '{}', '{}', '/nix/store', 'one', p_only_kind => 'odd')$$, '23514', null,
                 'there are two kinds');
select throws_ok($$select resolver.register_worker('w', '{dance}', '{}', '{}', '/nix/store', 'one')$$, '23514', null,
                 'there are three verbs');
select is((select count(*) from resolver.worker), 3::bigint, 'refused workers are not there');
select is(resolver.hydra_path('x'), '/nix/store/x', 'paths in Hydra''s tables lie in that store');

select * from t.done();
rollback;
