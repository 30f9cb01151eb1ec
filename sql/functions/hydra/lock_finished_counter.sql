-- lock_finished_counter(): locks the counter of finished builds, which every transaction writes that finishes or restarts a build.
--
-- Returns   whether the lock was free: no session may wait for it under the graph lock.
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

comment on function resolver.lock_finished_counter() is 'Locks the counter of finished builds; false if another transaction holds it.';
