-- known_outputs(drvs): what would come of building these right now, as far as that is known.
--
-- Returns   (drv, outputs, failure): outputs: {output: path}, those that are valid; null when none is; failure: the message of a
--           failure that is remembered. No row for what is unknown.
create or replace function resolver.known_outputs(p_drvs text[]) returns table (drv text, outputs jsonb, failure text)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select d.drv,
           (select jsonb_object_agg(o.name, o.path) from resolver.output o
             where o.derivation = d.derivation and o.valid_since is not null),
           (select coalesce(f.message, 'no reason given') from resolver.failure f
             where f.derivation = d.derivation and f.cleared_at is null and f.class = 'builder')
      from resolver.derivation d
     where d.drv = any (p_drvs)
$$;

comment on function resolver.known_outputs(text[]) is 'Valid outputs, and remembered failures, of derivations.';
