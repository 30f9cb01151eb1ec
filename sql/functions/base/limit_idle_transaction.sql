-- limit_idle_transaction(): disconnects this session if it is idle in this transaction for 5 s, since it would stop the farm.
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

comment on function resolver.limit_idle_transaction() is 'Disconnects this session if it leaves this transaction open and idle.';
revoke all on function resolver.limit_idle_transaction() from public;
