-- lease_time(): returns how long a worker may be silent before its claims are revoked.
create or replace function resolver.lease_time() returns interval
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (select s.lease_time from resolver.setting s);
end
$$;

comment on function resolver.lease_time() is 'The time without a heartbeat after which a worker counts as dead: see resolver.setting.';
