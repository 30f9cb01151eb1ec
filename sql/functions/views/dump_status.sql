-- dump_status(): writes the row of Hydra's SystemStatus that `hydra-queue-runner --status` requests by the notification dump_status.
--
-- Every worker that hears the notification calls it: one of them answers, and the others do nothing.
-- Locks     the row of SystemStatus; then the graph lock, while it writes
-- Notifies  status_dumped
create or replace function resolver.dump_status() returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_held   boolean;
    v_status jsonb;
begin
    if to_regclass('public.SystemStatus') is null then
        return;
    end if;
    perform from public.SystemStatus s where s.what = 'queue-runner' for update skip locked;
    v_held := found;
    if not v_held and exists (select from public.SystemStatus s where s.what = 'queue-runner') then
        return;
    end if;
    v_status := resolver.queue_runner_status();  -- may take long
    perform resolver.lock_graph();
    if not exists (select from resolver.live_workers()) then
        perform resolver.record_runner_end();
        return;
    elsif v_held then
        update public.SystemStatus s set status = v_status where s.what = 'queue-runner';
    else
        insert into public.SystemStatus (what, status) values ('queue-runner', v_status) on conflict do nothing;
    end if;
    perform pg_notify('status_dumped', '');
end
$$;

comment on function resolver.dump_status() is 'Writes the status of the queue for Hydra''s programs, as Hydra''s queue runner does.';
