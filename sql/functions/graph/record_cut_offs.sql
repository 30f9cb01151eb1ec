-- record_cut_offs(ended): resolutions that ended without an attempt for their sake.
--
-- Of several that follow one attempt, the first one of the build on whose account it was made has it to itself.
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
               -- Of two outputs one may have been found, and the other is built yet.
               and not exists (select from resolver.output o
                                where o.derivation = e.derivation and o.is_wanted and o.valid_since is null)) f
     where r.resolution = f.resolution and not r.is_cut_off and (f.built_for is null or f.nr > 1);
end
$$;

comment on function resolver.record_cut_offs(resolver.ended[]) is 'Marks resolutions that were cut off early.';
