-- start_steps(derivations, builds, busy): writes busy rows for attempts; the row of a revoked attempt for the same build is used again.
--
-- Arguments busy: 30: the worker's machine builds them; 35: they wait for a machine, see record_step_start()
-- Returns   the step numbers; null if the build was deleted, or a transaction that may delete it holds it.
create or replace function resolver.start_steps(p_derivations bigint[], p_builds integer[], p_busy integer) returns integer[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now     integer := resolver.hydra_time(resolver.clock());
    v_stepnrs integer[];
    v_free    bigint[];
    v_new     bigint[];
begin
    v_stepnrs := array(
        select i.stepnr
          from unnest(p_derivations, p_builds) with ordinality x (derivation, build, nr)
          join resolver.derivation d on d.derivation = x.derivation
          left join lateral (
               select i.stepnr from resolver.interrupted_step i
                where i.drv = d.drv and i.build = x.build order by i.stepnr desc limit 1) i on true
         order by x.nr);
    if array_remove(v_stepnrs, null) <> '{}' then
        v_free := resolver.lock_step_rows(p_builds, v_stepnrs);
        v_stepnrs := array(select case when x.nr = any (v_free) then x.stepnr end
                             from unnest(v_stepnrs) with ordinality x (stepnr, nr) order by x.nr);
        update public.BuildSteps s
           set busy = p_busy, status = null, errorMsg = null, startTime = v_now, stopTime = null, overhead = null, timesBuilt = null,
               isNonDeterministic = null, machine = case when p_busy = 30 then 'localhost' else '' end
          from unnest(p_builds, v_stepnrs) x (build, stepnr)
         where s.build = x.build and s.stepnr = x.stepnr;
        delete from resolver.interrupted_step i using unnest(p_builds, v_stepnrs) x (build, stepnr)
         where i.build = x.build and i.stepnr = x.stepnr;
    end if;

    v_new := array(select x.nr from unnest(v_stepnrs) with ordinality x (stepnr, nr) where x.stepnr is null order by x.nr);
    return array(
        select coalesce(x.stepnr, n.stepnr)
          from unnest(v_stepnrs) with ordinality x (stepnr, nr)
          left join (
              select v_new[s.nr] as nr, s.stepnr
                from resolver.record_steps(array(
                         select row(p_builds[i], p_derivations[i], 0, p_busy, null, null, null, null)::resolver.new_step
                           from unnest(v_new) with ordinality u (i, nr)
                          order by u.nr)) s) n on n.nr = x.nr
         order by x.nr);
end
$$;

comment on function resolver.start_steps(bigint[], integer[], integer) is
    'Busy rows of BuildSteps for attempts; rows of revoked attempts are used again.';
