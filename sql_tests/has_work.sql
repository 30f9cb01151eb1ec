-- has_work(worker), advance(), unneeded_roots(paths): what a worker asks at its tick.
\ir include/farm.sql

-- has_work: a worker that drains the queue ends when this is false.
create function pg_temp.worker(p_verbs text[], p_systems text[] default '{x86_64-linux}') returns integer language sql as $$
    select resolver.register_worker('some', p_verbs, p_systems, '{}', '/nix/store', 'one')
$$;
select pg_temp.worker('{load}') as loader, pg_temp.worker('{resolve}') as resolver, pg_temp.worker('{build}') as builder,
       pg_temp.worker('{build}', '{mips-linux}') as mips
\gset
select is(resolver.has_work(t.worker_id()), false, 'nothing is wanted');
select t.derivation('a');
select t.derivation('b', '{a}');
select t.want('b', 'b');
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder)], '{t,f,f}', 'something is to be loaded');
select t.claim('load');
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder)], '{t,t,t}',
          'what another worker does may become work for everyone');
select resolver.register_derivations(jsonb_build_array(t.loaded('b')));
select t.load();
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder), resolver.has_work(:mips)], '{f,f,t,f}',
          'something is to be built, on one system');
select t.fail('a', 'transient', 3);
select is(resolver.has_work(:builder), true, 'also when that is only tried again in a minute');
select t.pass('1 minute');
select t.fail('a', 'transient', 3);
select is(resolver.has_work(:builder), false, 'but not when it is in three');
select t.pass('1 hour');
select is(resolver.has_work(:builder), true, 'then it is work again');
select t.finish('a');
select is(array[resolver.has_work(:loader), resolver.has_work(:resolver), resolver.has_work(:builder)], '{f,t,f}', 'something is to be resolved');
select resolver.cancel_build(t.id('b'));
select is(resolver.has_work(:resolver), false, 'what nobody needs is no work');
select t.derivation('m', p_system => 'mips-linux');
select t.want('m', 'm');
select t.load();
select is(array[resolver.has_work(:builder), resolver.has_work(:mips)], '{f,t}', 'what no worker serves is no work for the others');
select resolver.cancel_build(t.id('m'));

-- advance: walks that were put off.
select is(resolver.advance(), false, 'nothing was put off');
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
select is(t.ended('top'), 'unfinished', 'its lowest one fails: not all that depends on it is reached at once');
select is(resolver.has_work(:loader), true, 'the rest is work, for anyone');
select ok(t.go_on() > 1, 'which advance() does, a part at each call');
select is(t.ended('one'), 'status 2', 'it reaches what depends on it');
select is(t.ended('top'), 'status 2', 'all of it');
select is(t.steps('top'), '{1: w0 status 1 from one}', 'down to the row of the cause');
select is(resolver.has_work(:loader), false, 'then nothing is left');

-- unneeded_roots.
select t.derivation('r');
select t.derivation('s', '{r}');
select t.derivation('u', '{s}');
select t.want('u', 'u');
select t.load();
select is(resolver.unneeded_roots(array[t.drv('r'), t.drv('nobody.drv'), t.path('nobody')]), array[t.drv('nobody.drv'), t.path('nobody')],
          'a .drv that is not built yet is needed; what is unknown is not');
select t.finish('r');
select is(resolver.unneeded_roots(array[t.drv('r'), t.path('r')]), array[t.drv('r')], 'built: the .drv is not needed any more, the output is');
select t.pass('2 days');
select is(resolver.unneeded_roots(array[t.path('r')]), '{}', 'for as long as something unfinished uses it');
select t.resolve('s', 'r-s');
select is(resolver.unneeded_roots(array[t.path('r'), t.drv('r-s')]), '{}', 'also once that is resolved, and the resolved .drv with it');
select t.finish('r-s');
select is(resolver.unneeded_roots(array[t.path('r'), t.drv('r-s'), t.path('r-s')]), array[t.path('r'), t.drv('r-s')],
          'when it is built, its inputs are not needed; an output is kept for a day in any case');
select t.work();
select t.pass('2 days');
select is(resolver.unneeded_roots(array[t.path('r-s'), t.path('r-u')]), array[t.path('r-s'), t.path('r-u')], 'and nothing in the end');
select t.want('u-again', 'u');
select is(resolver.unneeded_roots(array[t.path('r-s'), t.path('r-u')]), '{}', 'but when a new build wants it');
select t.load();
select is(t.ended('u-again'), 'status 0 cached', 'which ends at once');
select t.pass('23 hours');
select is(resolver.unneeded_roots(array[t.path('r-s'), t.path('r-u')]), array[t.path('r-s')],
          'its output is kept for a day: until Hydra has roots of its own');
select t.pass('2 hours');
select is(resolver.unneeded_roots(array[t.path('r-u')]), array[t.path('r-u')], 'and not for longer');
select is(resolver.unneeded_roots('{}'), '{}', 'of nothing, nothing');
select t.derivation('x');
select t.derivation('x1', '{x}');
select t.derivation('x2', '{x}');
select t.want('x1', 'x1', 5);
select t.want('x2', 'x2');
select t.load();
select resolver.cancel_build(t.id('x1'));
select is(resolver.unneeded_roots(array[t.drv('x'), t.drv('x1')]), array[t.drv('x1')],
          'a build was cancelled: what another needs is kept, the rest is not');
select resolver.cancel_build(t.id('x2'));
select is(resolver.unneeded_roots(array[t.drv('x')]), array[t.drv('x')], 'until nobody needs it');
select t.claim('build');
select is(resolver.unneeded_roots(array[t.drv('x')]), array[t.drv('x')], 'whatever is known about its owner');

select * from t.done();
rollback;
