-- record_runner_start(): writes the row that tells Hydra's programs that a queue runner is up. Without the row they do not ask for a
-- status: see dump_status().
--
-- If another transaction is writing the row, this one does not wait for it.
create or replace function resolver.record_runner_start() returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '100ms'
as $$
begin
    -- A later Hydra may not have the table.
    if to_regclass('public.SystemStatus') is not null then
        insert into public.SystemStatus (what, status) values ('queue-runner', '{"status": "up", "runner": "hydra-resolver"}')
        on conflict do nothing;
    end if;
exception when lock_not_available then
    null;
end
$$;

comment on function resolver.record_runner_start() is 'Writes for Hydra''s programs that a queue runner is up.';
revoke all on function resolver.record_runner_start() from public;
