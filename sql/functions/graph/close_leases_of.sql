-- close_leases_of(derivations): closes the open claims of derivations that have moved on without a report.
--
-- Locks     the caller holds the graph lock, and has written the derivations' rows: claims for load and resolve are made
--           without that lock, and the caller's write has waited for a claim that was under way.
create or replace function resolver.close_leases_of(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.lease l set closed_at = resolver.clock(), outcome = 'stale'
      from resolver.derivation_state s
     where l.derivation = any (p_derivations) and l.closed_at is null
       and s.derivation = l.derivation and s.lease is null;
end
$$;

comment on function resolver.close_leases_of(bigint[]) is 'Closes the open leases of derivations that are no longer claimed.';
