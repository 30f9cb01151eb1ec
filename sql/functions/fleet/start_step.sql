-- start_step(derivation, build): the busy row of an attempt; an aborted one of the same build is taken up again.
--
-- Returns   the step number; null when the build was deleted or is held by a transaction that may delete it.
create or replace function resolver.start_step(p_derivation bigint, p_build integer) returns integer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_stepnr integer;
begin
    select s.stepnr into v_stepnr
      from public.BuildSteps s
     where s.build = p_build and s.type = 0 and s.busy = 0 and s.status = 3
       and s.drvPath = (select resolver.hydra_path(d.drv) from resolver.derivation d where d.derivation = p_derivation)
     order by s.stepnr limit 1;
    if not found then
        return resolver.record_step(p_build, p_derivation, 0, 30, null);
    end if;
    update public.BuildSteps s
       set busy = 30, status = null, errorMsg = null, stopTime = null, overhead = null, timesBuilt = null,
           startTime = resolver.hydra_time(resolver.clock())
     where s.build = p_build and s.stepnr = v_stepnr;
    return v_stepnr;
end
$$;

comment on function resolver.start_step(bigint, integer) is 'A busy row of BuildSteps for an attempt; reuses the row of an aborted one.';
