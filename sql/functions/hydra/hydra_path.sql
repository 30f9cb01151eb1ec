-- hydra_path(base name): returns the full store path, as Hydra's columns hold it. Apply it to our value, never to Hydra's column.
create or replace function resolver.hydra_path(p_path text) returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (select s.directory || '/' || p_path from resolver.store s);
end
$$;

comment on function resolver.hydra_path(text) is 'The full path of a base name, as in Hydra''s tables.';
