-- end_step(lease, status, report): the attempt's row in BuildSteps is not busy any more.
--
-- Notifies  step_finished
create or replace function resolver.end_step(p_lease resolver.lease, p_status integer, p_report jsonb) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update public.BuildSteps s
       set busy = 0, status = p_status, stopTime = resolver.hydra_time(resolver.clock()),
           errorMsg = p_report ->> 'message', machine = coalesce(p_report ->> 'machine', ''),
           overhead = (p_report ->> 'overhead')::integer, timesBuilt = (p_report ->> 'times_built')::integer,
           isNonDeterministic = (p_report ->> 'non_deterministic')::boolean
     where s.build = p_lease.build and s.stepnr = p_lease.stepnr;
    if found then
        perform pg_notify('step_finished', concat_ws(E'\t', p_lease.build, p_lease.stepnr, coalesce(p_report ->> 'log', '-')));
    end if;
end
$$;

comment on function resolver.end_step(resolver.lease, integer, jsonb) is 'Ends the busy row of an attempt, and says so to Hydra''s programs.';
