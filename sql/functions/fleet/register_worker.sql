-- register_worker(...): a worker introduces itself. The first one says which store this database speaks about.
--
-- Raises    NX015 (check_store) when it has another store than the other workers.
create or replace function resolver.register_worker(
    p_name text, p_verbs text[], p_systems text[], p_features text[], p_store_directory text, p_store_identity text
) returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_worker integer;
begin
    perform resolver.lock_graph();
    insert into resolver.store (directory, identity) values (p_store_directory, p_store_identity) on conflict do nothing;
    perform resolver.check_store(p_store_directory, p_store_identity);
    insert into resolver.worker (name, verbs, systems, features, started, heartbeat)
    values (p_name, p_verbs, p_systems, p_features, resolver.clock(), resolver.clock())
    returning worker into v_worker;
    return v_worker;
end
$$;

comment on function resolver.register_worker(text, text[], text[], text[], text, text) is
    'Introduces a worker process with what it can do; returns the number for its claims and heartbeats.';
