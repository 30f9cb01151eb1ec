-- producer_of(drv): what wrote this .drv, if a builder did: {"drv", "output"}, else null. Of several the one known first.
create or replace function resolver.producer_of(p_drv text) returns jsonb
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object('drv', d.drv, 'output', o.name)
      from resolver.output o join resolver.derivation d on d.derivation = o.derivation
     where o.path = p_drv
     order by o.derivation, o.name
     limit 1
$$;

comment on function resolver.producer_of(text) is 'The derivation, and the output of it, that this .drv is.';
