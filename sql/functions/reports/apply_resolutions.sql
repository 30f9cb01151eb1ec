-- apply_resolutions(reports): derivations resolve to others, and wait for them or end with them at once (early cut-off).
--
-- Stages    resolvable -> resolved -> realised, failed; the resolved ones: unloaded -> buildable, realised;
--           realised -> unloaded, if more outputs are wanted of them than are valid
-- Locks     the caller holds the graph lock, and has judged the reports.
create or replace function resolver.apply_resolutions(p_reports resolver.report[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now      timestamptz := resolver.clock();
    v_ids      bigint[] := array(select r.derivation from unnest(p_reports) r);
    v_resolved bigint[];
    v_builds   integer[] := array(select resolver.attributed_build(r.derivation) from unnest(p_reports) r);
    v_stepnrs  integer[];
begin
    if cardinality(p_reports) = 0 then
        return;
    end if;
    v_resolved := resolver.register_resolved(p_reports);
    update resolver.resolution r set released_at = v_now where r.derivation = any (v_ids) and r.released_at is null;
    v_stepnrs := resolver.record_resolutions(v_ids, v_resolved, v_builds);
    insert into resolver.resolution (derivation, resolved, inputs, outputs, paths, build, stepnr, time)
    select r.derivation, x.resolved, s.inputs, s.outputs, s.paths, x.build, x.stepnr, v_now
      from unnest(p_reports) with ordinality r (lease, derivation, b, n, outcome, detail, digest, body, nr)
      join unnest(v_resolved, v_builds, v_stepnrs) with ordinality x (resolved, build, stepnr, nr) on x.nr = r.nr
     cross join lateral (
          select coalesce(array_agg(d.derivation order by e.nr), '{}') as inputs,
                 coalesce(array_agg(e.sample ->> 1 order by e.nr), '{}') as outputs,
                 coalesce(array_agg(e.sample ->> 2 order by e.nr), '{}') as paths
            from jsonb_array_elements(r.body -> 'samples') with ordinality e (sample, nr)
            join resolver.derivation d on d.drv = e.sample ->> 0) s
     where not r.body ? 'resolution'
     order by r.nr;
    -- These are the resolutions that compare_samples() has recorded.
    update resolver.resolution n set resolved = x.resolved, build = x.build, stepnr = x.stepnr, time = v_now, released_at = null
      from unnest(p_reports) with ordinality r (lease, derivation, b, n, outcome, detail, digest, body, nr)
      join unnest(v_resolved, v_builds, v_stepnrs) with ordinality x (resolved, build, stepnr, nr) on x.nr = r.nr
     where n.resolution = (r.body ->> 'resolution')::bigint;
    update resolver.derivation_state s set stage = 'resolved', resolved_to = x.resolved
      from unnest(v_ids, v_resolved) x (derivation, resolved)
     where s.derivation = x.derivation;
    perform resolver.copy_wanted_outputs(v_ids);
    update resolver.derivation_state s set stage = 'unloaded'
     where s.derivation = any (v_resolved) and s.stage = 'realised'
       and exists (select from resolver.output o where o.derivation = s.derivation and o.is_wanted and o.valid_since is null);

    perform resolver.complete_known_resolutions(p_reports, v_resolved);
    perform resolver.propagate_demand(array(
        select s.derivation
          from resolver.derivation_state s join resolver.derivation_state r on r.derivation = s.resolved_to
         where s.derivation = any (v_ids) and s.stage = 'resolved'
           and ((r.owner, r.global_priority, r.priority) is distinct from (s.owner, s.global_priority, s.priority)
                or r.height < s.height
                or s.max_silent > coalesce(r.max_silent, 0) or s.timeout > coalesce(r.timeout, 0))));
    perform resolver.failpoint('apply_resolutions: wanted');
    -- A resolved derivation with all wanted outputs is left out: it may have to be loaded, or its .drv was not written.
    perform resolver.reevaluate_readiness(array(
        select distinct s.resolved_to from resolver.derivation_state s where s.derivation = any (v_ids) and s.stage = 'resolved'));
end
$$;

comment on function resolver.apply_resolutions(resolver.report[]) is 'Derivations follow their resolved derivations.';
