-- sweep(): takes back what dead workers held, and claims that outlived their deadline; what no worker takes fails in the end.
--
-- Every worker calls it at its tick.
-- Returns   how many claims were taken back.
-- Stages    building -> buildable; buildable -> failed: see fail_unsupported()
create or replace function resolver.sweep() returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now    timestamptz := resolver.clock();
    v_leases bigint[];
begin
    if not exists (select from resolver.worker w where w.gone is null and w.heartbeat < v_now - resolver.lease_time())
       and not exists (select from resolver.lease l join resolver.worker w on w.worker = l.worker
                        where l.closed is null and (l.deadline < v_now or w.gone is not null))
       and not exists (select from public.BuildSteps b
                        where b.busy <> 0 and not exists (select from resolver.lease l
                                                           where l.closed is null and l.build = b.build and l.stepnr = b.stepnr)) then
        perform resolver.fail_unsupported();
        return 0;
    end if;
    perform resolver.failpoint('sweep: there is something');
    perform resolver.lock_graph();
    update resolver.worker w set gone = v_now
     where w.gone is null and w.heartbeat < v_now - resolver.lease_time();

    v_leases := array(
        select l.lease from resolver.lease l
         where l.closed is null
           and (l.deadline < v_now or exists (select from resolver.worker w where w.worker = l.worker and w.gone is not null))
         order by l.lease);
    perform resolver.take_back(v_leases, 'swept', 'the worker did not answer any more');
    perform resolver.end_orphaned_steps();
    perform resolver.fail_unsupported();
    return cardinality(v_leases);
end
$$;

comment on function resolver.sweep() is 'Claims of dead workers, and claims past their deadline, become claimable again.';
