-- record_cut_offs(ended): marks resolutions that ended without an attempt of their own.
--
-- If several resolutions follow one attempt, the attempt counts for the first resolution of the build on whose account it was made.
create or replace function resolver.record_cut_offs(p_ended resolver.ended[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.resolution r set is_cut_off = true
      from (select x.resolution, e.built_for,
                   row_number() over (partition by e.origin order by x.build is distinct from e.built_for, x.resolution) as nr
              from unnest(p_ended) e
              join resolver.resolution x on x.derivation = e.derivation and x.resolved = e.origin and x.released_at is null
             where e.derivation <> e.origin
               -- If one of two outputs was found, the other still has to be built.
               and not exists (select from resolver.output o
                                where o.derivation = e.derivation and o.is_wanted and o.valid_since is null)) f
     where r.resolution = f.resolution and not r.is_cut_off and (f.built_for is null or f.nr > 1);
end
$$;

comment on function resolver.record_cut_offs(resolver.ended[]) is 'Marks resolutions that needed no attempt (early cut-off).';
