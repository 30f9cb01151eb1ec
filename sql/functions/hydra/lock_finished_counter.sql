-- lock_finished_counter(): the counter of finished builds, which all transactions meet in that finish or restart one.
--
-- Returns   whether it could be had: nobody may wait for it under the graph lock.
-- Locks     the row of NrBuilds, SKIP LOCKED
create or replace function resolver.lock_finished_counter() returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
begin
    perform from public.NrBuilds n where n.what = 'finished' for update skip locked;
    return found or not exists (select from public.NrBuilds n where n.what = 'finished');
end
$$;

comment on function resolver.lock_finished_counter() is 'Locks the counter of finished builds; false when another transaction holds it.';
