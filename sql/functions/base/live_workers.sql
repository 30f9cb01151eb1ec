-- live_workers(): the workers that live. Who has been silent for too long does not, though nobody may be there to declare it dead.
create or replace function resolver.live_workers() returns setof resolver.worker
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select * from resolver.worker w where w.gone_at is null and w.heartbeat >= resolver.clock() - resolver.lease_time()
$$;

comment on function resolver.live_workers() is 'Workers that have not left, and have not been silent for too long.';
revoke all on function resolver.live_workers() from public;
