-- lock_step_rows(builds, stepnrs): which of these rows of BuildSteps can be written without waiting: their places in the arrays.
--
-- Locks     the rows, NO KEY UPDATE SKIP LOCKED; the caller holds the graph lock.
-- Prevents  waiting under the graph lock for a transaction that deletes builds, which may take minutes. A row that is left
--           busy since such a deletion was undone is ended by sweep().
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

comment on function resolver.lock_step_rows(integer[], integer[]) is 'Rows of BuildSteps that no other transaction holds, by place.';
