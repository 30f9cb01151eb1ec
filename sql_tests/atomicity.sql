-- The step rows, the trace and the end of builds of one report become visible together or not at all.
--
-- A trigger lets the transaction fail in the middle, at each table in turn that the report writes; nothing may be left.
-- (PostgreSQL makes notifications part of it: it sends them at commit. See isolation/specs/one_end.spec.)
\ir include/farm.sql

create function t.fail_here() returns trigger language plpgsql as $$
begin
    raise exception 'the power went out at %', tg_table_name using errcode = 'io_error';
end
$$;
create function pg_temp.abort_at(p_report text, p_tables text[]) returns setof text language plpgsql as $$
declare
    v_table text;
begin
    foreach v_table in array p_tables loop
        execute format('create trigger fail_here before insert or update or delete on %s for each row execute function t.fail_here()', v_table);
        perform t.keep();
        return next throws_like(p_report, 'the power went out at %', format('it fails while it writes %s', v_table));
        execute format('drop trigger fail_here on %s', v_table);
        return next is(t.changed(), '{}', format('if it fails at %s, nothing is changed', v_table));
    end loop;
end
$$;

select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('c', '{b}');
select t.want('b', 'b');
select t.want('a1', 'a');
select t.want('a2', 'a');
select t.want('c', 'c');

-- load
select t.claim('load');
select pg_temp.abort_at(
    'select * from resolver.register_derivations((select jsonb_agg(t.loaded(name)) from t.claim where verb = ''load''))',
    '{resolver.derivation,resolver.derivation_state,resolver.output,resolver.dependency,resolver.watch,resolver.lease}');
select resolver.register_derivations((select jsonb_agg(t.loaded(name)) from t.claim where verb = 'load'));

-- claims for build
select pg_temp.abort_at('select t.claim(''build'')', '{BuildSteps,BuildStepOutputs,resolver.lease,resolver.derivation_state}');

-- success
select t.claim('build');
select pg_temp.abort_at(
    'select * from resolver.finish_steps(jsonb_build_array(t.success(''a'')))',
    '{BuildSteps,BuildStepOutputs,resolver.output,resolver.realisation,resolver.derivation_state,resolver.watch,resolver.lease,resolver.goal,
      Builds,BuildOutputs,BuildProducts,BuildMetrics,NrBuilds}');
select is(t.finish('a'), 'done', 'without the trigger, the same report is applied');
select is(t.ended('a1') || ', ' || t.ended('a2'), 'status 0, status 0 cached', 'all changes of the report are there');

-- resolution
select t.claim('resolve');
select pg_temp.abort_at(
    'select * from resolver.set_resolved_to(jsonb_build_array(t.resolution(''b'', ''r-b'')))',
    '{BuildSteps,resolver.derivation,resolver.derivation_state,resolver.output,resolver.resolution,resolver.lease}');
select is(t.resolve('b', 'r-b'), 'done', 'the same resolution is applied');

-- failure, with its dependents
select t.claim('build');
select pg_temp.abort_at(
    'select * from resolver.fail_steps(jsonb_build_array(t.failure(''r-b'')))',
    '{BuildSteps,resolver.failure,resolver.derivation_state,resolver.lease,resolver.goal,resolver.propagation,Builds,NrBuilds}');
select is(t.fail('r-b'), 'done', 'the same failure is applied');
select is(t.ended('b') || ', ' || t.ended('c'), 'status 1, status 2', 'all changes of the failure are there');

-- restart, lost outputs, sweep
select t.pass('1 hour');
select pg_temp.abort_at(format('select resolver.restart_build(%s)', t.id('c')), '{Builds,resolver.goal,resolver.failure,resolver.derivation_state,NrBuilds}');
select t.pass('1 hour');
select resolver.restart_build(t.id('c'));
select t.worker('next');
select t.claim('load', 1, 'next');
select resolver.register_derivations((select jsonb_agg(t.loaded(n)) from unnest('{b}'::text[]) n));
select t.claim('resolve', 100, 'next');
select t.resolve('b', 'r-b');
select t.claim('build', 100, 'next');
select pg_temp.abort_at(format('select resolver.invalidate_paths(array[%L])', t.path('a')),
                        '{resolver.output,resolver.realisation,resolver.derivation_state,resolver.resolution,resolver.watch}');
select t.pass('1 hour');
select pg_temp.abort_at('select resolver.sweep()', '{resolver.worker,BuildSteps,resolver.lease,resolver.derivation_state}');
select is(resolver.sweep(), 1, 'the same sweep revokes the claim');

select * from t.done();
rollback;
