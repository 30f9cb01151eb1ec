-- record_resolutions(derivations, resolved, builds): writes the step rows of resolutions (status 13), one for each build and derivation.
--
-- Returns   the step numbers; null if the build was deleted.
-- If the derivation was resolved before, for the same build, its row is updated.
create or replace function resolver.record_resolutions(p_derivations bigint[], p_resolved bigint[], p_builds integer[])
    returns integer[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now       integer := resolver.hydra_time(resolver.clock());
    v_directory text := resolver.hydra_path('');
    v_stepnrs   integer[];
    v_free      bigint[];
    v_new       integer[];
begin
    v_stepnrs := array(
        select (select s.stepnr from public.BuildSteps s
                 where s.build + 0 = x.build and s.status = 13 and s.drvPath = v_directory || d.drv limit 1)
          from unnest(p_derivations, p_builds) with ordinality x (derivation, build, nr)
          join resolver.derivation d on d.derivation = x.derivation
         order by x.nr);
    v_free := resolver.lock_step_rows(p_builds, v_stepnrs);
    update public.BuildSteps s set resolvedDrvPath = d.drv, stopTime = v_now
      from unnest(p_builds, v_stepnrs, p_resolved) with ordinality x (build, stepnr, resolved, nr)
      join resolver.derivation d on d.derivation = x.resolved
     where s.build = x.build and s.stepnr = x.stepnr and x.nr = any (v_free);

    v_new := array(select x.nr from unnest(v_stepnrs) with ordinality x (stepnr, nr) where x.stepnr is null order by x.nr);
    if cardinality(v_new) = 0 then
        return v_stepnrs;
    end if;
    return array(
        select coalesce(x.stepnr, n.stepnr)
          from unnest(v_stepnrs) with ordinality x (stepnr, nr)
          left join (
              select v_new[s.nr] as nr, s.stepnr
                from resolver.record_steps(array(
                         select row(p_builds[i], p_derivations[i], 0, 0, 13, null, null, d.drv)::resolver.new_step
                           from unnest(v_new) with ordinality u (i, nr)
                           join resolver.derivation d on d.derivation = p_resolved[i]
                          order by u.nr)) s) n on n.nr = x.nr
         order by x.nr);
end
$$;

comment on function resolver.record_resolutions(bigint[], bigint[], integer[]) is 'Rows of BuildSteps with status 13.';
