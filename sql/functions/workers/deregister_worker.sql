-- deregister_worker(worker): the worker ends, and its open claims are released.
create or replace function resolver.deregister_worker(p_worker integer) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.lock_graph();
    update resolver.worker w set gone_at = resolver.clock() where w.worker = p_worker and w.gone_at is null;
    perform resolver.revoke_leases(
        array(select l.lease from resolver.lease l where l.worker = p_worker and l.closed_at is null order by l.lease),
        'released', 'the worker was stopped', false);
    perform resolver.record_runner_end();
end
$$;

comment on function resolver.deregister_worker(integer) is 'A worker ends; other workers can take its claims at once.';
