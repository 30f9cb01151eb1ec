-- match_reports(reports, verb): returns the elements of a report with their claims, and whether they may be applied.
--
-- The lease is the fence. Outcome: open: apply it; already: the same report was applied before; lease_lost: the claim was
-- revoked; refused: no such lease, another verb, or another report was applied.
-- Locks     the caller holds the graph lock. The function writes nothing.
create or replace function resolver.match_reports(p_reports jsonb, p_verb text) returns resolver.report[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(array_agg(row(e.lease, l.derivation, l.build, l.stepnr,
                   case when l.lease is null or l.verb <> p_verb then 'refused'
                        when l.closed_at is null and e.copy = 1 then 'open'
                        when l.closed_at is null and e.digest = e.first_digest then 'already'
                        when l.closed_at is null then 'refused'
                        when l.digest = e.digest then 'already'
                        when l.digest is null then 'lease_lost'
                        else 'refused' end,
                   null, e.digest, e.body)::resolver.report order by e.nr), '{}')
          from (select x.body, x.nr, x.lease, x.digest,
                       row_number() over (partition by x.lease order by x.nr) as copy,
                       first_value(x.digest) over (partition by x.lease order by x.nr) as first_digest
                  from (select j.body, j.nr, (j.body ->> 'lease')::bigint as lease, coalesce(j.body ->> 'digest', md5(j.body::text)) as digest
                          from jsonb_array_elements(p_reports) with ordinality j (body, nr)) x) e
          left join resolver.lease l on l.lease = e.lease);
end
$$;

comment on function resolver.match_reports(jsonb, text) is
    'Elements of a report with their claims, each open, already, lease_lost or refused.';
