-- check_lease(lease, verb, digest): whether a report may be applied. Nothing is written.
--
-- Returns   open: apply it; already: this very report was applied; lease_lost: the claim was taken back;
--           refused: no such lease, another verb, or another report was applied.
-- Locks     the caller holds the graph lock.
create or replace function resolver.check_lease(p_lease bigint, p_verb text, p_digest text) returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce((
        select case when l.verb <> p_verb then 'refused'
                    when l.closed is null then 'open'
                    when l.digest = p_digest then 'already'
                    when l.outcome in ('swept', 'released') then 'lease_lost'
                    else 'refused' end
          from resolver.lease l where l.lease = p_lease), 'refused')
$$;

comment on function resolver.check_lease(bigint, text, text) is
    'The fence of every report: open, already, lease_lost or refused.';
