-- live_workers(): returns the live workers. A worker that was silent for too long is not one of them, even before sweep() declares it dead.
create or replace function resolver.live_workers() returns setof resolver.worker
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select * from resolver.worker w where w.gone_at is null and w.heartbeat >= resolver.clock() - resolver.lease_time()
$$;

comment on function resolver.live_workers() is 'Workers that have not left, and have not been silent for too long.';
revoke all on function resolver.live_workers() from public;
