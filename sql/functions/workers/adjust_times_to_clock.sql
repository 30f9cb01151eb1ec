-- adjust_times_to_clock(): if the database's clock was put back, times that now lie in the future are put back as well.
--
-- Otherwise a dead worker would count as alive, and a back-off would last, for as long as the clock was put back.
-- Locks     the caller holds the graph lock.
create or replace function resolver.adjust_times_to_clock() returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := resolver.clock();
begin
    update resolver.worker w set heartbeat = v_now where w.gone_at is null and w.heartbeat > v_now;
    if not found and not exists (select from resolver.lease l where l.closed_at is null and l.opened_at > v_now) then
        return;
    end if;
    update resolver.lease l
       set opened_at = least(l.opened_at, v_now), started_at = least(l.started_at, v_now), deadline = least(l.deadline, v_now + interval '10 minutes')
     where l.closed_at is null and (l.opened_at > v_now or l.started_at > v_now or l.deadline > v_now + interval '10 minutes');
    update resolver.derivation_state s set not_before = v_now + x.retry_delay * 3 ^ greatest(s.tries - 1, 0)
      from resolver.setting x
     where s.stage in ('unloaded', 'resolvable', 'buildable') and s.owner is not null
       and s.not_before > v_now + x.retry_delay * 3 ^ greatest(s.tries - 1, 0);
    update resolver.machine_type m set unsupported_since = v_now where m.unsupported_since > v_now;
end
$$;

comment on function resolver.adjust_times_to_clock() is 'Puts back times that lie in the future because the clock was put back.';
revoke all on function resolver.adjust_times_to_clock() from public;
