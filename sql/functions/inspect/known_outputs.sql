-- known_outputs(drvs): returns what building these derivations now would give, as far as it is known.
--
-- Returns   (drv, outputs, failure): outputs: {output: path}, the valid outputs, null if there are none; failure: the message of a
--           cached failure. There is no row for an unknown derivation.
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

comment on function resolver.known_outputs(text[]) is 'Valid outputs, and cached failures, of derivations.';
