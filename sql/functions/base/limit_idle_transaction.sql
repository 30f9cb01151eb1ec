-- limit_idle_transaction(): a session that stops between here and COMMIT is disconnected after 5 s: it must not stop the farm.
--
-- Every procedure that takes a row lock calls it first. sweep() ends sessions that undo it.
create or replace function resolver.limit_idle_transaction() returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('idle_in_transaction_session_timeout', '5s', true);
end
$$;

comment on function resolver.limit_idle_transaction() is 'Has a session disconnected that leaves this transaction open without doing anything.';
revoke all on function resolver.limit_idle_transaction() from public;
