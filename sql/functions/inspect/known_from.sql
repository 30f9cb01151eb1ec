-- known_from(resolution): returns the realisation that cut off a resolution; null if none did, or the realisation was pruned.
--
-- It is the realisation that was served then: the first of the valid ones, else the attempt that was under way and shared.
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
