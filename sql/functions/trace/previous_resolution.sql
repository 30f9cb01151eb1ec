-- previous_resolution(resolution): the one before it of the same job, of a derivation of the same name; null: there is none.
create or replace function resolver.previous_resolution(p_resolution bigint) returns bigint
    language sql stable
    set search_path = pg_catalog, public, pg_temp
as $$
    select max(p.resolution)
      from resolver.resolution r
      join resolver.derivation d on d.derivation = r.derivation
      join resolver.derivation same on same.name = d.name and same.must_resolve and same.derivation <> d.derivation
      join resolver.resolution p on p.derivation = same.derivation and p.resolution < r.resolution
      join public.Builds b on b.id = r.build
      join public.Builds before on before.id = p.build and before.jobset_id = b.jobset_id and before.job = b.job
     where r.resolution = p_resolution
$$;

comment on function resolver.previous_resolution(bigint) is
    'The last resolution before this one of a derivation of the same name, for a build of the same job.';
