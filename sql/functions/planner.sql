-- The planner's choices for all functions that write: nested loops over indexes, planned once for a session.
--
-- The procedures look up some hundred rows by key, in tables that may have hundreds of millions. The planner's estimates of the
-- sizes of a report's arrays can make it read a whole table to hash it: on 30,000 derivations that was nine tenths of the time
-- that the graph lock was held. No statement here has a reason to do that.
--
-- For the same reason these files say `build + 0 = ...`: a step is looked up by its drvPath, never among the thousands of its build.
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
