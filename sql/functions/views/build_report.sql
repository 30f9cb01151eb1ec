-- build_report(build): returns one build for people: its state, outputs and steps, with the inputs that a resolution filled in.
-- known_from: if the build has no steps of its own, the build whose steps show where its outputs come from.
create or replace function resolver.build_report(p_build integer) returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'build', b.id, 'job', b.job, 'drv', b.drvPath, 'finished', b.finished = 1, 'status', b.buildStatus,
        'cached', b.isCachedBuild = 1, 'system', b.system,
        'held_up', (select resolver.blocking_derivations(g.root) from resolver.goal g where g.build = b.id and g.ended_at is null),
        'message', (select f.message from resolver.goal g join resolver.failure f on f.derivation = g.cause and f.cleared_at is null
                     where g.build = b.id),
        'outputs', (select coalesce(jsonb_object_agg(o.name, o.path), '{}') from public.BuildOutputs o where o.build = b.id),
        'steps', (select coalesce(jsonb_agg(jsonb_build_object(
                             'stepnr', s.stepnr, 'type', s.type, 'drv', s.drvPath, 'status', s.status, 'busy', s.busy,
                             'resolved', s.resolvedDrvPath, 'message', s.errorMsg, 'propagated_from', s.propagatedFrom,
                             'seconds', s.stopTime - s.startTime,
                             'filled_in', (select jsonb_agg(jsonb_build_array(i.drv, x.output, x.path) order by i.drv, x.output)
                                             from resolver.resolution r
                                            cross join unnest(r.inputs, r.outputs, r.paths) x (input, output, path)
                                             join resolver.derivation i on i.derivation = x.input
                                            where r.build = s.build and r.stepnr = s.stepnr and s.status = 13
                                              and r.resolution = (select max(n.resolution) from resolver.resolution n
                                                                   where n.build = s.build and n.stepnr = s.stepnr)),
                             'built_by', (select n.build from resolver.derivation d
                                            join resolver.realisation n on n.derivation = d.derivation and n.source = 'built'
                                           where s.type = 1 and d.drv = resolver.base_name(s.drvPath)
                                           order by n.realisation desc limit 1)) order by s.stepnr), '[]')
                    from public.BuildSteps s where s.build = b.id),
        'known_from', (select coalesce(
                                  (select r.build from resolver.resolution r where r.derivation = d.derivation
                                    order by r.resolution desc limit 1),
                                  (select n.build from resolver.realisation n
                                    where n.derivation = d.derivation and n.source = 'built'
                                    order by n.realisation desc limit 1))
                         from resolver.derivation d
                        where d.drv = resolver.base_name(b.drvPath) and b.isCachedBuild = 1
                          and not exists (select from public.BuildSteps s where s.build = b.id)))
      from public.Builds b
     where b.id = p_build
$$;

comment on function resolver.build_report(integer) is 'A build with outputs and steps, as one object; null if there is no such build.';
