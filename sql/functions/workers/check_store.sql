-- check_store(directory, identity): checks that this database belongs to that store, or to none yet.
--
-- Raises    NX015 if it belongs to another store.
create or replace function resolver.check_store(p_store_directory text, p_store_identity text) returns void
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_store resolver.store;
begin
    select * into v_store from resolver.store;
    if found and (v_store.directory, v_store.identity) is distinct from (p_store_directory, p_store_identity) then
        raise exception 'this database belongs to another store'
            using errcode = 'NX015',
                  detail = format('It has %s (%s), the worker has %s (%s).',
                                  v_store.directory, v_store.identity, p_store_directory, p_store_identity),
                  hint = 'All workers of a database share one store: start the worker with that store.';
    end if;
end
$$;

comment on function resolver.check_store(text, text) is 'Raises an error if this database belongs to another store.';
