-- resolver.history: the record of every move and its function, while keep_history() is on.
\ir include/farm.sql

create function t.history(p_name text) returns setof text language sql as $$
    select concat_ws(' ', h.from_stage || ' -> ' || h.to_stage, 'by', h.function, 'in', h.procedure)
      from resolver.history h
     where h.derivation = t.number(p_name) and h.from_stage <> h.to_stage
     order by h.event
$$;
create function t.output_history(p_name text) returns setof text language sql as $$
    select concat_ws(' ', h.output, case when h.valid then 'valid' else 'not valid' end,
                     case when h.is_wanted then 'wanted' else 'not wanted' end, 'by', h.function, 'in', h.procedure)
      from resolver.history h where h.derivation = t.number(p_name) and h.output is not null
     order by h.event
$$;

select t.derivation('library');
select t.derivation('tool', '{library}');
select t.derivation('loose');

-- No history is kept by default.
select t.want('early', 'loose');
select t.work();
select is_empty('select * from resolver.history', 'no history is kept at first');
select lives_ok('select resolver.keep_history(false)', 'history that is off can be switched off');

select resolver.keep_history(true);
select t.want('job', 'tool');
select t.load();
select t.finish('library');
select t.resolve('tool', 'r-tool');
select t.finish('r-tool');

select results_eq(
    $$select * from t.history('library')$$,
    array['unloaded -> buildable by reevaluate_readiness_along in register_derivations', 'buildable -> building by claim_builds in claim_derivations',
          'building -> realised by record_completions in finish_steps'],
    'every move is recorded, with the function that made it and the procedure that was called');
select results_eq(
    $$select * from t.history('tool')$$,
    array['unloaded -> waiting by reevaluate_readiness_along in register_derivations', 'waiting -> resolvable by reevaluate_readiness_along in finish_steps',
          'resolvable -> resolved by apply_resolutions in set_resolved_to', 'resolved -> realised by record_completions in finish_steps'],
    'a move that a report about another derivation made has the procedure of that report');
select results_eq(
    $$select * from t.output_history('library')$$,
    array['out not valid wanted by mark_wanted_outputs in register_derivations', 'out valid wanted by record_built in finish_steps'],
    'changes of outputs are recorded');
select results_eq(
    $$select from_lease is null, to_lease from resolver.history
       where derivation = t.number('tool') and to_lease is not null order by event$$,
    $$values (true, t.lease('tool', 'load')), (true, t.lease('tool', 'resolve'))$$, 'leases are recorded');
select is((select resolved_to from resolver.history where derivation = t.number('tool') and to_stage = 'resolved'), t.number('r-tool'),
          'the row of a follower has its resolved derivation');
select results_eq(
    $$select distinct owner from resolver.history where to_stage is not null and derivation in (t.number('tool'), t.number('library'))$$,
    $$values (t.id('job'))$$, 'the rows have the build');
select is((select count(distinct transaction) from resolver.history), 1::bigint, 'all rows of one transaction have its number');
select is((select bool_and(transaction = pg_current_xact_id()::text::bigint) from resolver.history), true,
          'the number is that of the server');
select is((select bool_and(time = resolver.clock()) from resolver.history), true, 'the times come from the clock that decides');

-- A move by hand has no procedure.
update resolver.derivation_state set stage = 'unloaded', resolved_to = null where derivation = t.number('tool');
select is((select row(h.from_stage, h.to_stage, h.procedure, h.function)::text from resolver.history h order by event desc limit 1),
          row('realised'::text, 'unloaded'::text, null::text, null::text)::text, 'a move by hand is recorded without a procedure');
update resolver.derivation_state set stage = 'realised', resolved_to = t.number('r-tool') where derivation = t.number('tool');

-- Updates of other columns are not recorded.
create temporary table before as select count(*) as rows from resolver.history;
update resolver.derivation_state set priority = priority + 1, tries = 1, not_before = now();
update resolver.output set lost_at = null;
select is((select count(*) from resolver.history), (select rows from before), 'updates of other columns write no history');

-- If a function fails, its history is undone.
savepoint before_failure;
select t.store_loses(t.path('library'));
select resolver.invalidate_paths(array[t.path('library')]);
select cmp_ok((select count(*) from resolver.history), '>', (select rows from before), 'a loss is recorded');
rollback to before_failure;
select is((select count(*) from resolver.history), (select rows from before),
          'if the transaction rolls back, the loss and its record are undone together');

-- Off, and on again.
select resolver.keep_history(false);
select resolver.invalidate_paths(array[t.path('r-tool')]);
select is((select count(*) from resolver.history), (select rows from before), 'after it is switched off, no history is kept');
select resolver.keep_history(true);
select resolver.keep_history(true);
select resolver.invalidate_paths(array[t.path('library')]);
select results_eq(
    $$select * from t.history('library') offset 3$$,
    array['realised -> unloaded by invalidate_lost_outputs in invalidate_paths'], 'if it is switched on twice, each move is recorded once');

-- calling_functions() reads the call stack of PL/pgSQL.
select is(resolver.calling_functions(E'PL/pgSQL function resolver.record_move() line 6 at GET DIAGNOSTICS\nSQL statement "update x\n  set y = 1"\n'
                           'PL/pgSQL function resolver.reevaluate_readiness(bigint[]) line 9 at SQL statement\n'
                           'SQL statement "select resolver.reevaluate_readiness(x)"\nPL/pgSQL function t.fail(text) line 3 at PERFORM'),
          array['record_move', 'reevaluate_readiness'], 'the result has functions of this schema only, the innermost first');

select * from t.done();
rollback;
