-- reassign_resolutions(resolved, builds): attempts at resolved derivations begin on the account of these builds. If the build of a
-- resolution was deleted, and its row with it, the resolution moves to this build, with a row of its own.
--
-- If another build wants the resolution's derivation, and it is not the root of this build, the resolution does not move.
-- Locks     the caller holds the graph lock.
create or replace function resolver.reassign_resolutions(p_resolved bigint[], p_builds integer[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_derivations bigint[];
    v_resolved    bigint[];
    v_builds      integer[];
begin
    select array_agg(s.derivation), array_agg(x.resolved), array_agg(x.build) into v_derivations, v_resolved, v_builds
      from unnest(p_resolved, p_builds) x (resolved, build)
     cross join lateral (select f.derivation, f.owner from resolver.derivation_state f
                          where f.resolved_to = x.resolved and f.resolved_to > 0 and f.stage = 'resolved'
                          order by f.derivation + 0 limit 200) s
      join resolver.resolution r on r.derivation = s.derivation and r.released_at is null
     where not exists (select from public.Builds b where b.id = r.build)
       and (exists (select from resolver.goal g where g.build = x.build and g.root = s.derivation)
            or not exists (select from resolver.goal g where g.build = s.owner and g.ended_at is null and g.build <> x.build));
    if v_derivations is null then
        return;
    end if;
    update resolver.resolution r set build = x.build, stepnr = x.stepnr
      from unnest(v_derivations, v_builds, resolver.record_resolutions(v_derivations, v_resolved, v_builds))
           x (derivation, build, stepnr)
     where r.derivation = x.derivation and r.released_at is null and x.stepnr is not null;
end
$$;

comment on function resolver.reassign_resolutions(bigint[], integer[]) is
    'Resolutions of deleted builds move to the builds that build the resolved derivations.';
