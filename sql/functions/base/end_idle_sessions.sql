-- end_idle_sessions(): ends sessions that hold row locks of this schema in a transaction that has been idle for 10 s.
--
-- Such a session has undone the limit of limit_idle_transaction(). The function ends only sessions that its owner may end: sessions of its own
-- role, sessions of roles that it is a member of, or all sessions if it is a member of pg_signal_backend.
-- Returns   the number of sessions
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

comment on function resolver.end_idle_sessions() is 'Ends sessions that hold the graph lock, or rows of the graph, in an idle transaction.';
revoke all on function resolver.end_idle_sessions() from public;
