-- raise_report_error(outcome, lease): turns an outcome of a plural report into the error of its singular form.
--
-- Raises    NX011 lease_lost, NX012 refused, NX013 stale, NX014 confirm
create or replace function resolver.raise_report_error(p_outcome text, p_detail text, p_lease bigint) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    case p_outcome
        when 'lease_lost' then
            raise exception 'the lease was taken back'
                using errcode = 'NX011', detail = format('Lease %s.', p_lease),
                      hint = 'Drop the result: another worker has, or will have, this derivation.';
        when 'refused' then
            raise exception 'the report was refused'
                using errcode = 'NX012', detail = format('Lease %s: %s.', p_lease, coalesce(p_detail, 'unknown, or closed by another report')),
                      hint = 'Report once for each lease, with the verb it was claimed for.';
        when 'stale' then
            raise exception 'the resolution was made from paths that are no longer in force'
                using errcode = 'NX013', detail = format('Lease %s.', p_lease),
                      hint = 'Release the claim, claim the derivation again, and resolve it with the paths of that claim.';
        when 'confirm' then
            raise exception 'the resolved derivation has known outputs that were not confirmed'
                using errcode = 'NX014', detail = p_detail,
                      hint = 'Ask the store whether these paths are valid: report them as valid, or invalidate_paths() them.';
        else null;
    end case;
end
$$;

comment on function resolver.raise_report_error(text, text, bigint) is 'Raises the error for an outcome other than done, already or retried.';
