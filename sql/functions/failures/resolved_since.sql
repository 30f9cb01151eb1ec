-- resolved_since(derivation, cause, time): returns whether the derivation fails through a resolution to the cause after this time.
--
-- The resolution may be of the derivation or of a dependency. If the time is that of the failure, no attempt was under way that the
-- resolution could have waited for.
create or replace function resolver.resolved_since(p_derivation bigint, p_cause bigint, p_time timestamptz) returns boolean
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select exists (
            select from resolver.failing_chain(p_derivation) c
              join resolver.resolution r on r.derivation = c.derivation and r.released_at is null
             where r.resolved = p_cause and r.time > p_time));
end
$$;

comment on function resolver.resolved_since(bigint, bigint, timestamptz) is
    'Whether a resolution that is younger than a failure leads to it.';
