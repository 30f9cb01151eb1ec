-- output_paths(drv): returns the valid outputs of a derivation, {name: path}; base names, or full paths if drv is a full path.
create or replace function resolver.output_paths(p_drv text) returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(o.name, case when p_drv like '%/%' then resolver.hydra_path(o.path) else o.path end), '{}')
      from resolver.derivation d
      join resolver.output o on o.derivation = d.derivation and o.valid_since is not null
     where d.drv = resolver.base_name(p_drv)
$$;

comment on function resolver.output_paths(text) is 'Valid outputs of a derivation, by name.';
