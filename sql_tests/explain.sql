-- explain(drv, build), build_graph(build): why something is not built, and what a build needs.
\ir include/farm.sql

create function pg_temp.told(p_name text) returns text[] language sql as $$
    select array_agg(concat_ws(' ', c ->> 'how', t.named(c ->> 'drv') || ':', c ->> 'reason'))
      from jsonb_array_elements(resolver.explain(t.drv(p_name)) -> 'chain') c
$$;

select is(resolver.explain(t.drv('nothing')), null, 'nothing is known of what nobody asked for');
select is(resolver.explain(p_build => 0), null, 'nor of a build that is not there');

select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('c', 'c');
select is(pg_temp.told('c'), array['itself c: waits for a worker to load it'], 'what was added is to be loaded');
select t.load();
select is(pg_temp.told('c'), array['itself c: waits for 1 of its 1 inputs', 'waits for b: waits for 1 of its 1 inputs',
                           'waits for a: waits for a worker to build it'], 'a chain of waiting leads to what can be done');
select is(resolver.explain(p_build => t.id('c')) #>> '{build,job}', 'c', 'a build is explained by its derivation');
select is(resolver.explain(t.full(t.drv('c'))) ->> 'wanted_by', t.id('c')::text, 'full paths will do; who wants it is told');

select t.claim('build');
select is(pg_temp.told('a'), array['itself a: is being built'], 'what runs says so');
select is(resolver.explain(t.drv('a')) #>> '{chain,0,claim,worker}', 'worker', 'and where');
select t.finish('a');
select is(pg_temp.told('c'), array['itself c: waits for 1 of its 1 inputs', 'waits for b: waits for a worker to resolve it'], 'the chain gets shorter');
select t.resolve('b', 'r-b');
select is(pg_temp.told('b'), array['itself b: waits for what it was resolved to', 'was resolved to r-b: waits for a worker to build it'],
          'a resolution is followed');
select t.fail('r-b');
select is(pg_temp.told('c'), array['itself c: waits for 1 of its 1 inputs', 'can never have b: what it was resolved to failed',
                           'failed with r-b: failed (builder): r-b is broken'], 'and a failure found at its end');
select is(resolver.explain(p_build => t.id('c')) #>> '{build,status}', '2', 'the build says how it ended');
select is(pg_temp.told('a'), array['itself a: all outputs that are wanted are there'], 'what is there needs no more');

select is(resolver.build_graph(0), null, 'there is no graph of a build that is not there');
select is((select array_agg(t.named(n ->> 'drv') || ' ' || (n ->> 'stage')) from jsonb_array_elements(resolver.build_graph(t.id('c')) -> 'nodes') n
            where n ->> 'kind' is not null and t.named(n ->> 'drv') in ('a', 'b', 'c', 'r-b')) @> '{"a realised","b failed","c waiting"}', true,
          'a build''s graph has its derivations with their stages');
select set_eq($$select t.named(e ->> 'drv') || ' on ' || t.named(e ->> 'input') || ' ' || (e ->> 'satisfied')
                  from jsonb_array_elements(resolver.build_graph(t.id('c')) -> 'edges') e$$,
              array['b on a true', 'c on b false'], 'and the dependencies between them');

select * from t.done();
rollback;
