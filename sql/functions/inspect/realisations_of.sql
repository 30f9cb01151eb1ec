-- realisations_of(derivation): returns all recorded realisations, in their order, as one array.
create or replace function resolver.realisations_of(p_derivation bigint) returns jsonb
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_agg(jsonb_build_object(
               'output', n.output, 'path', n.path, 'source', n.source, 'build', n.build, 'stepnr', n.stepnr,
               'machine', n.machine, 'seconds', n.seconds, 'time', n.time, 'ceased', n.ceased_at) order by n.realisation), '[]')
      from resolver.realisation n
     where n.derivation = p_derivation
$$;

comment on function resolver.realisations_of(bigint) is 'The build trace of one derivation.';
