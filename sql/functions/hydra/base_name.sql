-- base_name(path): returns the last component of a store path.
create or replace function resolver.base_name(p_path text) returns text
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    return substring(p_path from '[^/]*$');
end
$$;

comment on function resolver.base_name(text) is 'The base name of a store path, as the resolver keeps it; a base name stays as it is.';
