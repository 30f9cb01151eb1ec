-- savings(build, eval): the savings of early cut-off.
\ir include/farm.sql

select function_returns('resolver', 'savings', array['integer', 'integer'], 'setof record', 'the function returns rows');
select volatility_is('resolver', 'savings', array['integer', 'integer'], 'stable', 'the function changes nothing');

create function pg_temp.eval(p_jobs text[], p_new integer default 1) returns integer language sql as $$
    with eval as (
        insert into JobsetEvals (jobset_id, timestamp, checkoutTime, evalTime, hasNewBuilds, hash)
        select j.id, 1, 0, 0, 1, '' from Jobsets j
        returning id
    ), members as (
        insert into JobsetEvalMembers (eval, build, isNew) select e.id, t.id(j), p_new from eval e, unnest(p_jobs) j
    )
    select id from eval
$$;

-- An evaluation with new derivations only.
select t.derivation('library-1');
select t.derivation('app-1', '{library-1}');
select t.derivation('tool-1', '{library-1}');
select t.want('app-1', 'app-1');
select t.want('tool-1', 'tool-1');
create temporary table first as select pg_temp.eval('{app-1,tool-1}') as eval;
select t.load();
select t.finish('library-1', jsonb_build_object('out', t.path('library')));
select t.claim('resolve');
select t.resolve('app-1', 'r-app');
select t.resolve('tool-1', 'r-tool');
select t.claim('build');
select t.pass('10 seconds');
select t.finish('r-app');
select t.pass('30 seconds');
select t.finish('r-tool');
select results_eq('select * from resolver.savings()', $$select eval, 2::bigint, 2::bigint, 0::bigint, 0::double precision from first$$,
                  'if everything was built, nothing is saved');

-- The library is built again, with the same result.
select t.pass('1 day');
select t.derivation('library-2');
select t.derivation('app-2', '{library-2}');
select t.derivation('tool-2', '{library-2}');
select t.derivation('new-2', '{library-2}');
select t.want('app-2', 'app-2');
select t.want('tool-2', 'tool-2');
select t.want('new-2', 'new-2');
select t.want('tool-3', 'tool-2');
create temporary table second as select pg_temp.eval('{app-2,tool-2,new-2,tool-3}') as eval;
select t.load();
select t.finish('library-2', jsonb_build_object('out', t.path('library')));
select t.claim('resolve');
select t.resolve('app-2', 'r-app', array[t.path('r-app')]);
select t.resolve('tool-2', 'r-tool', array[t.path('r-tool')]);
select t.resolve('new-2', 'r-new');
select t.finish('r-new');
select results_eq('select * from resolver.savings()',
    $$select eval, 2::bigint, 2::bigint, 0::bigint, 0::double precision from first union all
      select eval, 4::bigint, 3::bigint, 2::bigint, 50::double precision from second order by 1$$,
    'the seconds of two cut-off resolutions are the seconds of the builds that were saved');
select results_eq('select * from resolver.savings(p_eval => (select eval from second))',
    $$select eval, 4::bigint, 3::bigint, 2::bigint, 50::double precision from second$$, 'the result has one row for one evaluation');
select results_eq($$select * from resolver.savings(t.id('tool-2'))$$,
    $$select eval, 1::bigint, 1::bigint, 1::bigint, 40::double precision from second$$, 'the result has one row for one build');
select results_eq($$select * from resolver.savings(t.id('new-2'))$$,
    $$select eval, 1::bigint, 1::bigint, 0::bigint, 0::double precision from second$$, 'a build may have saved nothing');
select results_eq($$select * from resolver.savings(t.id('tool-3'))$$,
    $$select eval, 1::bigint, 0::bigint, 0::bigint, 0::double precision from second$$,
    'a second build of a derivation has no resolution, and does not count it twice');
select is_empty('select * from resolver.savings(0)', 'an unknown build has no row');
select is_empty('select * from resolver.savings(p_eval => 0)', 'an unknown evaluation has no row');

-- Builds of an earlier evaluation in a later one; an evaluation without a resolution; a build without an evaluation.
create temporary table third as select pg_temp.eval('{app-2}', 0) as eval;
select is_empty('select * from resolver.savings(p_eval => (select eval from third))', 'builds of earlier evaluations do not count');
select results_eq($$select eval from resolver.savings(t.id('app-2'))$$, $$select eval from second$$,
                  'a build counts for the evaluation in which it is new');
select t.want('library-3', 'library-2');
create temporary table fourth as select pg_temp.eval('{library-3}') as eval;
select t.load();
select results_eq('select eval from resolver.savings()', 'select eval from first union all select eval from second order by 1',
                  'evaluations without a resolution are left out');
select results_eq('select * from resolver.savings(p_eval => (select eval from fourth))',
    $$select eval, 1::bigint, 0::bigint, 0::bigint, 0::double precision from fourth$$,
    'an evaluation without a resolution has a row if the caller names it');
select t.want('alone', 'app-2');
select t.load();
select results_eq($$select * from resolver.savings(t.id('alone'))$$,
    $$values (null::integer, 1::bigint, 0::bigint, 0::bigint, 0::double precision)$$, 'a build without an evaluation has a row');

-- Outputs that were found in the store: the saved time is unknown.
select t.derivation('there', '{library-1}');
select t.want('there', 'there');
select t.load();
select t.claim('resolve');
select resolver.set_resolved_to(jsonb_build_array(
    jsonb_set(t.resolution('there', 'r-there'), '{resolved,outputs}',
              jsonb_build_array(jsonb_build_object('name', 'out', 'path', t.path('r-there'), 'valid', true)))));
select results_eq($$select resolutions, cut_off, seconds from resolver.savings(t.id('there'))$$,
    $$values (1::bigint, 1::bigint, 0::double precision)$$, 'outputs that were found in the store count, without seconds');

-- Several outputs have the time of one attempt.
select t.derivation('many', '{library-1}', p_outputs => '{out,dev,doc}');
select t.derivation('many-too', '{library-2}', p_outputs => '{out,dev,doc}');
select t.want('many', 'many');
select t.want('many-too', 'many-too');
select t.load();
select t.claim('resolve');
select t.resolve('many', 'r-many');
select t.claim('build');
select t.resolve('many-too', 'r-many');
select t.pass('5 seconds');
select t.finish('r-many');
select is((select seconds from resolver.savings(t.id('many-too'))), 5::double precision, 'an attempt with three outputs counts once');

-- Only the last twenty evaluations are looked at.
select pg_temp.eval('{}') from generate_series(1, 19);
select is_empty('select * from resolver.savings()', 'older evaluations are not in the default result');
select isnt_empty('select * from resolver.savings(p_eval => (select eval from first))',
                  'older evaluations have a row if the caller names them');

-- A build that was deleted leaves the savings of the others.
delete from Builds where id = t.id('app-1');
select resolver.sync_builds();
select is((select seconds from resolver.savings(p_eval => (select eval from second))), 50::double precision,
          'if the build that built the derivation is deleted, the saved time is still known');

select * from t.done();
rollback;
