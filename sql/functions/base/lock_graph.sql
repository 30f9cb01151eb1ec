-- lock_graph(): makes this transaction the only writer of the graph, goals and BuildSteps until it ends.
--
-- Locks     the one row of resolver.writer; callers take every other lock after it.
-- Raises    NX010 outside READ COMMITTED; 55P03 if the lock is not free within 5 s: call again.
-- Prevents  lost wake-ups: with a snapshot taken before the lock, a dependent could start to watch an input whose end
--           it cannot see, and then nothing would wake it.
create or replace function resolver.lock_graph() returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '5s'
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the build graph is written in READ COMMITTED only'
            using errcode = 'NX010',
                  detail = format('This transaction is %s.', upper(current_setting('transaction_isolation'))),
                  hint = 'Call the procedure outside of a transaction block (autocommit).';
    end if;
    perform resolver.limit_idle_transaction();
    perform from resolver.writer for update;
end
$$;

comment on function resolver.lock_graph() is
    'Takes the graph lock until the transaction ends. Every function that writes the graph, goals or BuildSteps calls it first.';
