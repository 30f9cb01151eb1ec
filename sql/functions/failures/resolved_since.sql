-- resolved_since(derivation, cause, time): whether it fails by a derivation that it, or what it depends on, was resolved to after
-- that time.
--
-- For the time at which the cause failed: no attempt was under way that a resolution could have waited for.
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
    'Whether what leads to a failure is a resolution that is younger than it.';
