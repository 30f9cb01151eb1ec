-- explain(drv, build), build_graph(build): why a derivation is not built, and which derivations a build needs.
\ir include/farm.sql

create function pg_temp.told(p_name text) returns text[] language sql as $$
    select array_agg(concat_ws(' ', c ->> 'how', t.named(c ->> 'drv') || ':', c ->> 'reason'))
      from jsonb_array_elements(resolver.explain(t.drv(p_name)) -> 'chain') c
$$;

select is(resolver.explain(t.drv('nothing')), null, 'an unknown derivation has no explanation');
select is(resolver.explain(p_build => 0), null, 'an unknown build has no explanation');

select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select is(pg_temp.told('c'), array['itself c: waits for a worker to load it'], 'a new derivation waits to be loaded');
select t.load();
select is(pg_temp.told('c'), array['itself c: waits for 1 of its 1 inputs', 'waits for b: waits for 1 of its 1 inputs',
                           'waits for a: waits for a worker to build it'], 'the chain of waiting leads to a derivation that can move');
select is(resolver.explain(p_build => t.id('c')) #>> '{build,job}', 'c', 'a build is explained by its derivation');
select is(resolver.explain(t.full(t.drv('c'))) ->> 'wanted_by', t.id('c')::text,
          'a full path is accepted; the result has the build that wants the derivation');

select t.claim('build');
select is(pg_temp.told('a'), array['itself a: is being built'], 'a running step is being built');
select is(resolver.explain(t.drv('a')) #>> '{chain,0,claim,worker}', 'worker', 'the claim names the worker');
select t.finish('a');
select is(pg_temp.told('c'), array['itself c: waits for 1 of its 1 inputs', 'waits for b: waits for a worker to resolve it'], 'the chain gets shorter');
select t.resolve('b', 'r-b');
select is(pg_temp.told('b'), array['itself b: waits for its resolved derivation', 'was resolved to r-b: waits for a worker to build it'],
          'the chain goes on to the resolved derivation');
select t.fail('r-b');
select is(pg_temp.told('c'), array['itself c: waits for 1 of its 1 inputs', 'can never have b: its resolved derivation failed',
                           'failed with r-b: failed (builder): r-b is broken'], 'the chain ends at the failure');
select is(resolver.explain(p_build => t.id('c')) #>> '{build,status}', '2', 'the build has its status');
select is(pg_temp.told('a'), array['itself a: all outputs that are wanted are there'], 'a realised derivation waits for nothing');

select is(resolver.build_graph(0), null, 'an unknown build has no graph');
select is((select array_agg(t.named(n ->> 'drv') || ' ' || (n ->> 'stage')) from jsonb_array_elements(resolver.build_graph(t.id('c')) -> 'nodes') n
            where n ->> 'kind' is not null and t.named(n ->> 'drv') in ('a', 'b', 'c', 'r-b')) @> '{"a realised","b failed","c waiting"}', true,
          'a build''s graph has its derivations with their stages');
select set_eq($$select t.named(e ->> 'drv') || ' on ' || t.named(e ->> 'input') || ' ' || (e ->> 'satisfied')
                  from jsonb_array_elements(resolver.build_graph(t.id('c')) -> 'edges') e$$,
              array['b on a true', 'c on b false'], 'the graph has the dependencies between the derivations');

select * from t.done();
rollback;
