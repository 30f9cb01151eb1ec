-- report_dead_workers(workers): the processes of these workers died, as a worker on the same machine reports.
--
-- Returns   the number of claims that were revoked at once; if there are very many, sweep() revokes the rest.
-- Stages    building -> buildable, or failed after too many attempts
-- Locks     the graph lock
create or replace function resolver.report_dead_workers(p_workers integer[]) returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_leases bigint[];
begin
    perform resolver.lock_graph();
    update resolver.worker w set gone_at = resolver.clock() where w.worker = any (p_workers) and w.gone_at is null;
    v_leases := array(select l.lease from resolver.lease l where l.worker = any (p_workers) and l.closed_at is null order by l.lease limit 100);
    perform resolver.revoke_leases(v_leases, 'swept', 'the worker died', true);
    perform resolver.run_deferred_work(20);
    return cardinality(v_leases);
end
$$;

comment on function resolver.report_dead_workers(integer[]) is 'Claims of workers whose processes died become claimable again.';
