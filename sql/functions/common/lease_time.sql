-- lease_time(): how long a worker may be silent before its claims are taken back.
create or replace function resolver.lease_time() returns interval
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(nullif(current_setting('resolver.lease_time', true), '')::interval, interval '60 seconds')
$$;

comment on function resolver.lease_time() is
    'Time without heartbeat after which a worker counts as dead. ALTER DATABASE ... SET resolver.lease_time = ''30s'' changes it.';
