-- release_claims(worker, leases): the worker could not do these, through no fault of the derivations; others may try.
create or replace function resolver.release_claims(p_worker integer, p_leases bigint[], p_reason text) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.lock_graph();
    perform resolver.take_back(
        array(select l.lease from resolver.lease l
               where l.worker = p_worker and l.closed is null and l.lease = any (p_leases) order by l.lease),
        'released', p_reason);
end
$$;

comment on function resolver.release_claims(integer, bigint[], text) is 'Gives claims back without a result.';
