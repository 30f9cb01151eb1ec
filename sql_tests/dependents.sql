-- dependents(drvs), known_outputs(drvs): the data from which a caller can compute how the graph would resolve.
\ir include/farm.sql

select function_returns('resolver', 'dependents', array['text[]'], 'setof record', 'dependents() returns rows');
select volatility_is('resolver', 'dependents', array['text[]'], 'stable', 'dependents() changes nothing');
select function_returns('resolver', 'known_outputs', array['text[]'], 'setof record', 'known_outputs() returns rows');
select volatility_is('resolver', 'known_outputs', array['text[]'], 'stable', 'known_outputs() changes nothing');

select t.derivation('leaf', p_outputs => '{out,dev}');
select t.derivation('other');
select t.derivation('mid', '{"leaf^out,dev",other}');
select t.derivation('fixed', '{leaf}', 'fixed');
select t.derivation('top', '{mid}', p_outputs => '{out,doc}');
select t.want('top', 'top');
select t.want('fixed', 'fixed');
select t.load();

select results_eq($$select * from resolver.dependents(array[t.drv('leaf')])$$,
    $$select * from (values
        (t.drv('fixed'), 'fixed', true, null::text, jsonb_build_object(t.drv('leaf'), '{"out": null}'::jsonb),
         jsonb_build_object('out', t.path('fixed')), '{out}'::text[]),
        (t.drv('mid'), 'floating', true, null,
         jsonb_build_object(t.drv('leaf'), '{"out": null, "dev": null}'::jsonb, t.drv('other'), '{"out": null}'::jsonb),
         '{"out": null}', '{out}')) v (drv) order by drv$$,
    'the result has the direct dependents, with all outputs of all inputs that they use; only fixed paths are known yet');
select is_empty($$select * from resolver.dependents(array[t.drv('top')])$$, 'nothing depends on the root');
select is_empty($$select * from resolver.dependents(array[t.drv('nobody')])$$, 'an unknown derivation has no dependents');
select is_empty($$select * from resolver.dependents('{}')$$, 'no derivations have no dependents');
select results_eq($$select drv from resolver.dependents(array[t.drv('leaf'), t.drv('other'), t.drv('mid')])$$,
    $$select t.drv(n) from unnest('{mid,top,fixed}'::text[]) n order by 1$$,
    'for several derivations, each dependent is in the result once');
select is_empty($$select * from resolver.known_outputs(array[t.drv('nobody')])$$, 'an unknown derivation has no outcome');
select results_eq($$select * from resolver.known_outputs(array[t.drv('leaf')])$$, $$values (t.drv('leaf'), null::jsonb, null::text)$$,
    'a derivation that was not built has no outputs');

select t.work();
select results_eq($$select drv, resolved, inputs, outputs from resolver.dependents(array[t.drv('mid')])$$,
    $$values (t.drv('top'), t.drv('r-top'), jsonb_build_object(t.drv('mid'), jsonb_build_object('out', t.path('r-mid'))),
              jsonb_build_object('out', t.path('r-top'), 'doc', t.path('r-top-doc')))$$,
    'after the build, the result has the resolved derivation, the inputs'' paths and the outputs');
select results_eq($$select * from resolver.known_outputs(array[t.drv('leaf'), t.drv('r-top')]) order by drv$$,
    $$select * from (values (t.drv('leaf'), jsonb_build_object('out', t.path('leaf'), 'dev', t.path('leaf-dev')), null::text),
             (t.drv('r-top'), jsonb_build_object('out', t.path('r-top'), 'doc', t.path('r-top-doc')), null)) v (drv) order by drv$$,
    'the outcome has the outputs of a realised derivation');

-- A lost path is the one to expect again, but it is not valid.
select resolver.invalidate_paths(array[t.path('leaf-dev'), t.path('r-top-doc')]);
select is((select inputs -> t.drv('leaf') from resolver.dependents(array[t.drv('leaf')]) where drv = t.drv('mid')),
    jsonb_build_object('out', t.path('leaf'), 'dev', t.path('leaf-dev')), 'for a lost output, the result has its last path');
select is((select outputs from resolver.known_outputs(array[t.drv('r-top')])), jsonb_build_object('out', t.path('r-top')),
          'if one output is lost, the outcome has the other one');

select results_eq($$select drv, wanted from resolver.dependents(array[t.drv('leaf'), t.drv('mid')])$$,
    $$select * from (values (t.drv('fixed'), '{out}'::text[]), (t.drv('mid'), '{out}'), (t.drv('top'), '{doc,out}')) v (drv) order by drv$$,
    'the result has the wanted outputs of each dependent');

-- Resolved twice.
select t.want('again', 'top');
select t.load();
select t.resolve('top', 'r-top-again');
select is((select resolved from resolver.dependents(array[t.drv('mid')])), t.drv('r-top-again'), 'the latest resolution counts');
select t.work();

-- Failures.
select t.derivation('bad');
select t.derivation('slow');
select t.want('bad', 'bad');
select t.want('slow', 'slow');
select t.load();
select t.claim('build');
select t.fail('bad');
select t.fail('slow', 'timeout', 7);
select results_eq($$select drv, failure from resolver.known_outputs(array[t.drv('bad'), t.drv('slow')]) order by drv$$,
    $$select * from (values (t.drv('bad'), 'bad is broken'), (t.drv('slow'), null)) v (drv) order by drv$$,
    'the outcome has a failure of the builder, and not one that would be tried again');
select t.pass('1 hour');
select resolver.restart_build(t.id('bad'));
select is((select failure from resolver.known_outputs(array[t.drv('bad')])), null, 'the outcome has no cleared failure');

select t.work();
select * from t.done();
rollback;
