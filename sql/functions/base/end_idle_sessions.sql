-- end_idle_sessions(): ends sessions that hold row locks of this schema in a transaction in which they have done nothing for 10 s.
--
-- Such a session has undone what limit_idle_transaction() has set. Only sessions are ended that this function's owner may end: of its own role,
-- of roles that it is a member of, or all if it is a member of pg_signal_backend.
-- Returns   how many
create or replace function resolver.end_idle_sessions() returns integer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_session record;
    v_ended   integer := 0;
begin
    for v_session in
        select a.pid
          from pg_stat_activity a
         where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
           and a.state in ('idle in transaction', 'idle in transaction (aborted)')
           and a.state_change < clock_timestamp() - interval '10 seconds'
           and (pg_has_role(current_user, a.usesysid, 'member') or pg_has_role(current_user, 'pg_signal_backend', 'member'))
           and exists (select from pg_locks l
                        where l.pid = a.pid and l.locktype = 'relation' and l.granted
                          and l.mode in ('RowShareLock', 'RowExclusiveLock')
                          and l.relation = any (array['resolver.writer', 'resolver.derivation_state', 'resolver.worker', 'resolver.goal',
                                                      'resolver.lease']::regclass[]))
    loop
        v_ended := v_ended + pg_terminate_backend(v_session.pid)::integer;
    end loop;
    return v_ended;
end
$$;

comment on function resolver.end_idle_sessions() is 'Ends sessions that hold the graph, or rows of it, in a transaction that stands still.';
revoke all on function resolver.end_idle_sessions() from public;
