-- close_lease(lease, outcome, digest): the claim has ended. The caller moves the derivation on.
create or replace function resolver.close_lease(p_lease bigint, p_outcome text, p_digest text) returns void
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    update resolver.lease l set closed = resolver.clock(), outcome = p_outcome, digest = p_digest
     where l.lease = p_lease and l.closed is null
$$;

comment on function resolver.close_lease(bigint, text, text) is 'Ends a lease, with its outcome and the digest of the report.';
