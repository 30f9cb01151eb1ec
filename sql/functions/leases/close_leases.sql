-- close_leases(reports): closes the claims of reports, with their outcomes. The caller moves the derivations on.
--
-- Locks     the caller holds the graph lock, and has checked under it that the claims are open: see match_reports().
create or replace function resolver.close_leases(p_reports resolver.report[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.lease l set closed_at = resolver.clock(), outcome = r.outcome, digest = r.digest
      from unnest(p_reports) r
     where l.lease = r.lease;
end
$$;

comment on function resolver.close_leases(resolver.report[]) is 'Closes leases, with the outcome and digest of their reports.';
