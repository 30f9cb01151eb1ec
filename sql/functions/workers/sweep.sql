-- sweep(): revokes claims of dead workers and claims past their deadline; derivations that no worker takes fail in the end.
--
-- Every worker calls it at its tick, and again while it revokes a hundred claims.
-- Returns   the number of revoked claims
-- Stages    building -> buildable, or failed after too many attempts; buildable -> failed: see fail_unsupported()
create or replace function resolver.sweep() returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now    timestamptz := resolver.clock();
    v_leases bigint[];
begin
    perform resolver.limit_idle_transaction();
    perform resolver.end_idle_sessions();
    if not exists (select from resolver.worker w where w.gone_at is null
                      and (w.heartbeat < v_now - resolver.lease_time() or w.heartbeat > v_now + interval '1 second'))
       and not exists (select from resolver.lease l join resolver.worker w on w.worker = l.worker
                        where l.closed_at is null and (l.deadline < v_now or l.opened_at > v_now + interval '1 second' or w.gone_at is not null))
       and not exists (select from public.BuildSteps b
                        where b.busy <> 0 and not exists (select from resolver.lease l
                                                           where l.closed_at is null and l.build = b.build and l.stepnr = b.stepnr)) then
        perform resolver.fail_unsupported();
        return 0;
    end if;
    perform resolver.failpoint('sweep: there is something');
    perform resolver.lock_graph();
    perform resolver.adjust_times_to_clock();
    update resolver.worker w set gone_at = v_now
     where w.gone_at is null and w.heartbeat < v_now - resolver.lease_time();

    v_leases := array(
        select l.lease from resolver.lease l
         where l.closed_at is null
           and (l.deadline < v_now or exists (select from resolver.worker w where w.worker = l.worker and w.gone_at is not null))
         order by l.lease limit 100);
    perform resolver.revoke_leases(v_leases, 'swept', 'the worker did not answer any more', true);
    perform resolver.end_orphaned_steps();
    perform resolver.fail_unsupported();
    perform resolver.run_deferred_work(20);
    return cardinality(v_leases);
end
$$;

comment on function resolver.sweep() is 'Claims of dead workers, and claims past their deadline, become claimable again.';
