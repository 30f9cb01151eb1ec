-- compare_samples(reports): records and judges the samples of derivations with very many inputs, before the graph is locked.
--
-- Otherwise the lock would be held for a second. The judgement stays true as long as the claim is open: the claim ends if an input
-- is lost, and an output keeps its path until then. The resolution is not in force yet; apply_resolutions() puts it in force.
-- Returns   the reports: these elements have "resolution", its number, "stale" and "digest" in the place of "samples"
create or replace function resolver.compare_samples(p_reports jsonb) returns jsonb
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_report     jsonb;
    v_resolution bigint;
    v_derivation bigint;
    v_inputs     bigint[];
    v_outputs    text[];
    v_paths      text[];
    v_all        jsonb := '[]'::jsonb;
begin
    if jsonb_typeof(p_reports) is distinct from 'array' or not p_reports @? '$[*].samples[1000]' then
        return p_reports;
    end if;
    for v_report in select e.report from jsonb_array_elements(p_reports) e (report)
    loop
        select l.derivation into v_derivation
          from resolver.lease l
         where l.closed_at is null and l.verb = 'resolve' and v_report @? '$.samples[1000]' and v_report ? 'resolved'
           and l.lease = resolver.lease_of(v_report);
        if found then
            select coalesce(array_agg(d.derivation order by e.nr), '{}'), coalesce(array_agg(e.sample ->> 1 order by e.nr), '{}'),
                   coalesce(array_agg(e.sample ->> 2 order by e.nr), '{}')
              into v_inputs, v_outputs, v_paths
              from jsonb_array_elements(v_report -> 'samples') with ordinality e (sample, nr)
              join resolver.derivation d on d.drv = e.sample ->> 0;
            insert into resolver.resolution (derivation, resolved, inputs, outputs, paths, time, released_at)
            values (v_derivation, v_derivation, v_inputs, v_outputs, v_paths, resolver.clock(), resolver.clock())
            returning resolution into v_resolution;
            v_report := v_report - 'samples' || jsonb_build_object(
                'resolution', v_resolution, 'digest', md5(v_report::text),
                'stale', resolver.first_changed_sample(v_derivation, v_inputs, v_outputs, v_paths));
        end if;
        v_all := v_all || jsonb_build_array(v_report);
    end loop;
    return v_all;
end
$$;

comment on function resolver.compare_samples(jsonb) is
    'Records the samples of resolutions with very many inputs, before the graph is locked.';
revoke all on function resolver.compare_samples(jsonb) from public;
