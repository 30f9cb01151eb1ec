-- record_cut_offs(ended): resolutions that ended without an attempt for their sake.
--
-- Of several that follow one attempt, the first one of the build on whose account it was made has it to itself.
create or replace function resolver.record_cut_offs(p_ended resolver.ended[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.resolution r set cut_off = true
      from unnest(p_ended) e
     where r.derivation = e.derivation and r.resolved = e.origin and r.released is null and not r.cut_off
       and (e.built_for is null
            or r.resolution <> (select x.resolution from resolver.resolution x
                                 where x.resolved = e.origin and x.released is null
                                 order by x.build is distinct from e.built_for, x.resolution limit 1));
end
$$;

comment on function resolver.record_cut_offs(resolver.ended[]) is 'Marks resolutions that were cut off early.';
