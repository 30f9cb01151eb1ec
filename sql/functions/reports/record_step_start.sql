-- record_step_start(lease, machine): records that Nix has found a machine for an attempt, and builds.
--
-- Only for a worker with builders: its steps wait for a slot (busy 35) until Nix names one. For other workers the claim writes all this.
-- Returns   whether the row was written: not if the claim is over, or another transaction holds the row.
-- Locks     the graph lock
create or replace function resolver.record_step_start(p_lease bigint, p_machine text) returns boolean
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_lease resolver.lease;
begin
    perform resolver.lock_graph();
    update resolver.lease l set started_at = resolver.clock()
     where l.lease = p_lease and l.closed_at is null and l.verb = 'build' and l.started_at is null;
    select * into v_lease from resolver.lease l where l.lease = p_lease and l.closed_at is null and l.verb = 'build';
    if cardinality(resolver.lock_step_rows(array[v_lease.build], array[v_lease.stepnr])) = 0 then
        return false;
    end if;
    update public.BuildSteps s set busy = 30, machine = p_machine, startTime = resolver.hydra_time(v_lease.started_at)
     where s.build = v_lease.build and s.stepnr = v_lease.stepnr and s.busy <> 0;
    return found;
end
$$;

comment on function resolver.record_step_start(bigint, text) is 'Records which machine builds a claimed derivation.';
