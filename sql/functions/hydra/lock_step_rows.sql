-- lock_step_rows(builds, stepnrs): returns the places in the arrays of rows of BuildSteps that can be written without waiting.
--
-- Locks     the rows, NO KEY UPDATE SKIP LOCKED; the caller holds the graph lock.
-- Prevents  waiting under the graph lock for a transaction that deletes builds, which may take minutes. If that transaction rolls
--           back, the row stays busy, and sweep() ends it.
create or replace function resolver.lock_step_rows(p_builds integer[], p_stepnrs integer[]) returns bigint[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select x.nr
          from unnest(p_builds, p_stepnrs) with ordinality x (build, stepnr, nr)
          join public.BuildSteps s on s.build = x.build and s.stepnr = x.stepnr
         order by s.build, s.stepnr
           for no key update of s skip locked);
end
$$;

comment on function resolver.lock_step_rows(integer[], integer[]) is 'Places of the rows of BuildSteps that no other transaction holds.';
