-- release_claims(worker, leases, reason, attempted): the worker gives claims back without a result; other workers may try.
--
-- Arguments attempted: the worker tried, and would fail again if nothing changes: this counts as an attempt, see revoke_leases().
create or replace function resolver.release_claims(p_worker integer, p_leases bigint[], p_reason text, p_attempted boolean default false)
    returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.lock_graph();
    perform resolver.revoke_leases(
        array(select l.lease from resolver.lease l
               where l.worker = p_worker and l.closed_at is null and l.lease = any (p_leases) order by l.lease),
        'released', p_reason, p_attempted);
    perform resolver.run_deferred_work(20);
end
$$;

comment on function resolver.release_claims(integer, bigint[], text, boolean) is 'Gives claims back without a result.';
