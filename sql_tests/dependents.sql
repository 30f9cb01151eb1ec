-- dependents(drvs), known_outputs(drvs): what is needed to resolve the graph anew in thought.
\ir include/farm.sql

select function_returns('resolver', 'dependents', array['text[]'], 'setof record', 'it answers with rows');
select volatility_is('resolver', 'dependents', array['text[]'], 'stable', 'it changes nothing');
select function_returns('resolver', 'known_outputs', array['text[]'], 'setof record', 'so does this one');
select volatility_is('resolver', 'known_outputs', array['text[]'], 'stable', 'and changes nothing');

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
    'those that use it directly, with all outputs of all inputs that they use; nothing is known yet but what is fixed');
select is_empty($$select * from resolver.dependents(array[t.drv('top')])$$, 'nothing depends on the root');
select is_empty($$select * from resolver.dependents(array[t.drv('nobody')])$$, 'nor on what is unknown');
select is_empty($$select * from resolver.dependents('{}')$$, 'nor on nothing');
select results_eq($$select drv from resolver.dependents(array[t.drv('leaf'), t.drv('other'), t.drv('mid')])$$,
    $$select t.drv(n) from unnest('{mid,top,fixed}'::text[]) n order by 1$$, 'several at once: each dependent is told once');
select is_empty($$select * from resolver.known_outputs(array[t.drv('nobody')])$$, 'nothing is known of what is unknown');
select results_eq($$select * from resolver.known_outputs(array[t.drv('leaf')])$$, $$values (t.drv('leaf'), null::jsonb, null::text)$$,
    'nor of what was not built');

select t.work();
select results_eq($$select drv, resolved, inputs, outputs from resolver.dependents(array[t.drv('mid')])$$,
    $$values (t.drv('top'), t.drv('r-top'), jsonb_build_object(t.drv('mid'), jsonb_build_object('out', t.path('r-mid'))),
              jsonb_build_object('out', t.path('r-top'), 'doc', t.path('r-top-doc')))$$,
    'built: what it was resolved to, from what, and what came of it');
select results_eq($$select * from resolver.known_outputs(array[t.drv('leaf'), t.drv('r-top')]) order by drv$$,
    $$select * from (values (t.drv('leaf'), jsonb_build_object('out', t.path('leaf'), 'dev', t.path('leaf-dev')), null::text),
             (t.drv('r-top'), jsonb_build_object('out', t.path('r-top'), 'doc', t.path('r-top-doc')), null)) v (drv) order by drv$$,
    'the outputs of what is realised');

-- A path that was lost is what would come again; but it is not there.
select resolver.invalidate_paths(array[t.path('leaf-dev'), t.path('r-top-doc')]);
select is((select inputs -> t.drv('leaf') from resolver.dependents(array[t.drv('leaf')]) where drv = t.drv('mid')),
    jsonb_build_object('out', t.path('leaf'), 'dev', t.path('leaf-dev')), 'of what was lost, the path that it had');
select is((select outputs from resolver.known_outputs(array[t.drv('r-top')])), jsonb_build_object('out', t.path('r-top')), 'one output is lost, the other is there');

select results_eq($$select drv, is_wanted from resolver.dependents(array[t.drv('leaf'), t.drv('mid')])$$,
    $$select * from (values (t.drv('fixed'), '{out}'::text[]), (t.drv('mid'), '{out}'), (t.drv('top'), '{doc,out}')) v (drv) order by drv$$, 'and what is wanted of each');

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
    'a builder''s failure is remembered; others would be tried again');
select t.pass('1 hour');
select resolver.restart_build(t.id('bad'));
select is((select failure from resolver.known_outputs(array[t.drv('bad')])), null, 'one that was cleared is not');

select t.work();
select * from t.done();
rollback;
