-- known_from(resolution): the realisation that a resolution was cut off with; null: it was not, or that was forgotten.
--
-- The one that was served then: of those that were valid, the first; else it was shared while it was under way.
create or replace function resolver.known_from(p_resolution bigint) returns bigint
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select n.realisation
      from resolver.resolution r join resolver.realisation n on n.derivation = r.resolved
     where r.resolution = p_resolution and r.is_cut_off
     order by (n.time <= r.time and (n.ceased_at is null or n.ceased_at > r.time)) desc, n.time <= r.time, n.realisation
     limit 1
$$;

comment on function resolver.known_from(bigint) is 'The realisation that made an attempt unnecessary.';
