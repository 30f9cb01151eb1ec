-- has_work(worker), advance(), unneeded_roots(paths): the calls of a worker at its tick.
\ir include/farm.sql

-- has_work: a worker that drains the queue ends when this is false.
create function pg_temp.worker(p_verbs text[], p_systems text[] default '{x86_64-linux}') returns integer language sql as $$
    select resolver.register_worker('some', p_verbs, p_systems, '{}', '/nix/store', 'one')
$$;
select pg_temp.worker('{load}') as loader, pg_temp.worker('{resolve}') as resolver, pg_temp.worker('{build}') as builder,
       pg_temp.worker('{build}', '{mips-linux}') as mips
\gset
select is(resolver.has_work(t.worker_id()), false, 'if nothing is wanted, there is no work');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.want('b', 'b');
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder)], '{t,f,f}',
          'a derivation to load is work for the loader');
select t.claim('load');
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder)], '{t,t,t}',
          'the work of another worker may become work for every worker');
select resolver.register_derivations(jsonb_build_array(t.loaded('b')));
select t.load();
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder), resolver.has_work(:mips)], '{f,f,t,f}',
          'a derivation to build is work for the builders of its system');
select t.fail('a', 'transient', 3);
select is(resolver.has_work(:builder), true, 'a retry within a minute is work');
select t.pass('1 minute');
select t.fail('a', 'transient', 3);
select is(resolver.has_work(:builder), false, 'a retry in three minutes is no work');
select t.pass('1 hour');
select is(resolver.has_work(:builder), true, 'after the back-off, the retry is work again');
select t.finish('a');
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder)], '{f,t,f}',
          'a derivation to resolve is work for the resolver');
select resolver.cancel_build(t.id('b'));
select is(resolver.has_work(:resolver), false, 'a derivation that no build needs is no work');
select t.derivation('m', p_system => 'mips-linux');
select t.want('m', 'm');
select t.load();
select is(array[resolver.has_work(:builder), resolver.has_work(:mips)], '{f,t}', 'a derivation is no work for workers of other systems');
select resolver.cancel_build(t.id('m'));

-- advance: deferred walks.
select is(resolver.advance(), false, 'no walk was deferred');
select t.derivation('w0');
select t.derivation('w' || n, '{w0}') from generate_series(1, 900) n;
select t.derivation('top', array_agg('w' || n)) from generate_series(1, 900) n;
select t.want('one', 'w5');
select t.load();
select t.want('top', 'top');
select t.load();
select t.go_on();
select is((select count(*) from resolver.derivation_state where stage = 'waiting'), 901::bigint, 'a wide graph is loaded');
select t.fail('w0');
select is(t.ended('top'), 'unfinished', 'the failure does not reach all dependents at once');
select is(resolver.has_work(:loader), true, 'the rest of the walk is work for every worker');
select ok(t.go_on() > 1, 'advance() does the rest in parts');
select is(t.ended('one'), 'status 2', 'the failure reaches the dependents');
select is(t.ended('top'), 'status 2', 'the failure reaches the root of the wide graph');
select is(t.steps('top'), '{1: w0 status 1 from one}', 'the build has the row of the cause');
select is(resolver.has_work(:loader), false, 'no work is left');

-- unneeded_roots.
select t.derivation('r');
select t.derivation('s', '{r}');
select t.derivation('u', '{s}');
select t.want('u', 'u');
select t.load();
select is(resolver.unneeded_roots(array[t.drv('r'), t.drv('nobody.drv'), t.path('nobody')]), array[t.drv('nobody.drv'), t.path('nobody')],
          'a .drv that is not built yet is needed; an unknown path is not');
select t.finish('r');
select is(resolver.unneeded_roots(array[t.drv('r'), t.path('r')]), array[t.drv('r')],
          'after the build, the .drv is not needed any more, and the output is');
select t.pass('2 days');
select is(resolver.unneeded_roots(array[t.path('r')]), '{}', 'an output is needed while an unfinished derivation uses it');
select t.resolve('s', 'r-s');
select is(resolver.unneeded_roots(array[t.path('r'), t.drv('r-s')]), '{}',
          'after the resolution, the input is still needed, and the resolved .drv too');
select t.finish('r-s');
select is(resolver.unneeded_roots(array[t.path('r'), t.drv('r-s'), t.path('r-s')]), array[t.path('r'), t.drv('r-s')],
          'after the build, the inputs are not needed; an output is kept for a day');
select t.work();
select t.pass('2 days');
select is(resolver.unneeded_roots(array[t.path('r-s'), t.path('r-u')]), array[t.path('r-s'), t.path('r-u')],
          'in the end no path is needed');
select t.want('u-again', 'u');
select is(resolver.unneeded_roots(array[t.path('r-s'), t.path('r-u')]), '{}',
          'if a new build wants the derivation, its output is needed again');
select t.load();
select is(t.ended('u-again'), 'status 0 cached', 'the new build ends at once');
select t.pass('23 hours');
select is(resolver.unneeded_roots(array[t.path('r-s'), t.path('r-u')]), array[t.path('r-s')],
          'the output is kept for a day, until Hydra has its own roots');
select t.pass('2 hours');
select is(resolver.unneeded_roots(array[t.path('r-u')]), array[t.path('r-u')], 'after a day the output is not needed any more');
select is(resolver.unneeded_roots('{}'), '{}', 'for no paths the result is empty');
select t.derivation('x');
select t.derivation('x1', '{x}');
select t.derivation('x2', '{x}');
select t.want('x1', 'x1', 5);
select t.want('x2', 'x2');
select t.load();
select resolver.cancel_build(t.id('x1'));
select is(resolver.unneeded_roots(array[t.drv('x'), t.drv('x1')]), array[t.drv('x1')],
          'if a build is cancelled, only paths that another build needs are kept');
select resolver.cancel_build(t.id('x2'));
select is(resolver.unneeded_roots(array[t.drv('x')]), array[t.drv('x')], 'if no build needs the .drv, it is not kept');
select t.claim('build');
select is(resolver.unneeded_roots(array[t.drv('x')]), array[t.drv('x')], 'a claim does not change that');

select * from t.done();
rollback;
