-- previous_resolution(resolution): returns the resolution before it of the same derivation, or of a derivation with the same name for
-- a build of the same jobset.
--
-- An input of several jobs is resolved on the account of any of them. So a resolution for the same job counts first, then one for
-- another job.
create or replace function resolver.previous_resolution(p_resolution bigint) returns bigint
    language sql stable
    set search_path = pg_catalog, public, pg_temp
as $$
    select p.resolution
      from resolver.resolution r
      join resolver.derivation d on d.derivation = r.derivation
      join resolver.derivation same on same.name = d.name and same.must_resolve
      join resolver.resolution p on p.derivation = same.derivation and p.resolution < r.resolution
      left join public.Builds b on b.id = r.build
      left join public.Builds before on before.id = p.build
     where r.resolution = p_resolution
       and (same.derivation = d.derivation or before.jobset_id = b.jobset_id)
     order by (same.derivation = d.derivation or before.job = b.job) desc, p.resolution desc
     limit 1
$$;

comment on function resolver.previous_resolution(bigint) is
    'The last resolution before this one of a derivation of the same name, for a build of the same job; null: there is none.';
