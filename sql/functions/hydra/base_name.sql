-- base_name(path): the last component of a store path.
create or replace function resolver.base_name(p_path text) returns text
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    return substring(p_path from '[^/]*$');
end
$$;

comment on function resolver.base_name(text) is 'Store path, full or not -> its base name, as the resolver keeps it.';
