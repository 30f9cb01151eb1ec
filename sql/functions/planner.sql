-- The planner's choices for all that writes: nested loops over indexes, planned once for a session.
--
-- The procedures look up some hundred rows by key, in tables that may have hundreds of millions. What the planner guesses
-- of the size of a report's arrays can make it read a whole table to hash it: on 30,000 derivations that was nine tenths of
-- the time the graph lock was held. Here no statement has a reason to.
--
-- Likewise `build + 0 = ...` in these files: a step is looked for by its drvPath, never among the thousands of its build.
do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid from pg_proc p
         where p.pronamespace = 'resolver'::regnamespace and p.prosecdef and p.provolatile = 'v'
    loop
        execute format('alter function %s set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_seqscan = off '
                       'set plan_cache_mode = force_generic_plan set jit = off', v_function);
    end loop;
end
$$;
