-- record_runner_end(): deletes the row that tells Hydra's programs that a queue runner is up, if no worker lives.
--
-- Locks     the row of SystemStatus, unless another transaction holds it; the caller holds the graph lock.
create or replace function resolver.record_runner_end() returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- A later Hydra may not have the table.
    if to_regclass('public.SystemStatus') is null or exists (select from resolver.live_workers()) then
        return;
    end if;
    delete from public.SystemStatus s
     where s.what = any (array(select x.what from public.SystemStatus x
                                where x.what = 'queue-runner' and x.status ->> 'runner' = 'hydra-resolver' for update skip locked));
end
$$;

comment on function resolver.record_runner_end() is 'Deletes the status of the queue for Hydra''s programs, if no worker lives.';
