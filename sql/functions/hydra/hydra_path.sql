-- hydra_path(base name): the full store path that Hydra's columns hold. Apply it to our value, never to Hydra's column.
create or replace function resolver.hydra_path(p_path text) returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (select s.directory || '/' || p_path from resolver.store s);
end
$$;

comment on function resolver.hydra_path(text) is 'Base name of a store path -> the full path as in Hydra''s tables.';
