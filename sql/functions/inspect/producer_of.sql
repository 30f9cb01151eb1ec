-- producer_of(drv): returns the derivation whose output is this .drv: {"drv", "output"}; null if no builder wrote it.
--
-- If there are several, it returns the first known one.
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

comment on function resolver.producer_of(text) is 'The derivation and the output that produced this .drv.';
