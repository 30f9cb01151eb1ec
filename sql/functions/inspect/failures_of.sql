-- failures_of(derivation): returns all recorded failures, in their order, as one array.
create or replace function resolver.failures_of(p_derivation bigint) returns jsonb
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_agg(jsonb_build_object(
               'class', f.class, 'status', f.status, 'message', f.message, 'build', f.build, 'stepnr', f.stepnr,
               'time', f.time, 'cleared', f.cleared_at) order by f.failure), '[]')
      from resolver.failure f
     where f.derivation = p_derivation
$$;

comment on function resolver.failures_of(bigint) is 'The recorded failures of one derivation: when it failed for good, and why.';
