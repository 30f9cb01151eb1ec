-- trace(drv): returns all records of a derivation through time, as one object; null if it is unknown.
--
-- {"drv", "kind", "stage", "producer": {"drv", "output"} that wrote its .drv, or null,
--  "realisations": [{"output", "path", "source", "build", "stepnr", "machine", "seconds", "time", "ceased"}],
--  "resolutions": [{"resolved", "build", "stepnr", "time", "released", "cut_off", "realisations": as above, of "resolved",
--                   "known_from": {"build", "stepnr", "source", "time", "seconds"}, "inputs": [[drv, output, path]],
--                   "failures": as below, of "resolved",
--                   "previous": {"drv", "resolved", "build"}, "difference": {"input", "output", "path", "before"}}],
--  "resolved_from": [{"drv", "build", "time", "cut_off", "in_force"}],
--  "failures": [{"class", "status", "message", "build", "stepnr", "time", "cleared"}]}
-- The argument is a base name or a full path; all paths in the result are base names.
create or replace function resolver.trace(p_drv text) returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'drv', d.drv, 'kind', d.kind, 'stage', s.stage, 'producer', resolver.producer_of(d.drv),
        'realisations', resolver.realisations_of(d.derivation),
        'resolutions', (
            select coalesce(jsonb_agg(jsonb_build_object(
                       'resolved', x.drv, 'build', r.build, 'stepnr', r.stepnr, 'time', r.time, 'released', r.released_at,
                       'cut_off', r.is_cut_off, 'realisations', resolver.realisations_of(r.resolved),
                       'failures', resolver.failures_of(r.resolved),
                       'known_from', (select jsonb_build_object('build', n.build, 'stepnr', n.stepnr, 'source', n.source,
                                                                'time', n.time, 'seconds', n.seconds)
                                        from resolver.realisation n where n.realisation = resolver.known_from(r.resolution)),
                       'inputs', (select coalesce(jsonb_agg(jsonb_build_array(i.drv, u.output, u.path) order by u.nr), '[]')
                                    from unnest(r.inputs, r.outputs, r.paths) with ordinality u (input, output, path, nr)
                                    left join resolver.derivation i on i.derivation = u.input),
                       'previous', (select jsonb_build_object('drv', pd.drv, 'resolved', px.drv, 'build', p.build)
                                      from resolver.resolution p
                                      join resolver.derivation pd on pd.derivation = p.derivation
                                      join resolver.derivation px on px.derivation = p.resolved
                                     where p.resolution = q.previous),
                       'difference', case when q.previous is not null
                                          then resolver.first_difference(r.resolution, q.previous) end)
                   order by r.resolution), '[]')
              from resolver.resolution r
              join resolver.derivation x on x.derivation = r.resolved
             cross join lateral (select resolver.previous_resolution(r.resolution) as previous) q
             where r.derivation = d.derivation),
        'resolved_from', (
            select coalesce(jsonb_agg(jsonb_build_object('drv', o.drv, 'build', r.build, 'time', r.time, 'cut_off', r.is_cut_off,
                                                         'in_force', r.released_at is null) order by r.resolution), '[]')
              from resolver.resolution r join resolver.derivation o on o.derivation = r.derivation
             where r.resolved = d.derivation),
        'failures', resolver.failures_of(d.derivation))
      from resolver.derivation d join resolver.derivation_state s on s.derivation = d.derivation
     where d.drv = resolver.base_name(p_drv)
$$;

comment on function resolver.trace(text) is
    'Every resolution and realisation of a derivation, with changes since the previous resolution of its job, and cut-offs.';
