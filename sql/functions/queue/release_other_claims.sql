-- release_other_claims(worker, verb, held): the worker lost the answer to a claim: the claims that it does not hold are released.
create or replace function resolver.release_other_claims(p_worker integer, p_verb text, p_held bigint[]) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.lock_graph();
    perform resolver.revoke_leases(
        array(select l.lease from resolver.lease l
               where l.worker = p_worker and l.verb = p_verb and l.closed_at is null and l.lease <> all (p_held)
               order by l.lease),
        'released', 'the answer to the claim was lost', false);
end
$$;

comment on function resolver.release_other_claims(integer, text, bigint[]) is
    'Releases claims that a worker does not know of, since its connection broke while it claimed.';
