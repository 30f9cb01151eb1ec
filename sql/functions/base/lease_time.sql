-- lease_time(): how long a worker may be silent before its claims are taken back.
create or replace function resolver.lease_time() returns interval
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (select s.lease_time from resolver.setting s);
end
$$;

comment on function resolver.lease_time() is 'Time without heartbeat after which a worker counts as dead: see resolver.setting.';
