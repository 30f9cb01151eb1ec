-- is_drv(base name): returns whether this can be the base name of a .drv file.
--
-- Source: Nix, "Store paths": 32 characters of the hash, then a name of 1 to 211 characters.
create or replace function resolver.is_drv(p_name text) returns boolean
    language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select p_name ~ '^[0-9a-z]{32}-[0-9a-zA-Z+._?=-]{1,207}\.drv$'
$$;

comment on function resolver.is_drv(text) is 'Whether this can be the base name of a .drv file.';
revoke all on function resolver.is_drv(text) from public;
