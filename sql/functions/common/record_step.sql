-- record_step(...): a new row of BuildSteps with its BuildStepOutputs, on the account of a build.
--
-- Returns   the step number; null when the build was deleted, or is being deleted.
-- Locks     the build's row, KEY SHARE; the caller holds the graph lock.
create or replace function resolver.record_step(
    p_build integer, p_derivation bigint, p_type integer, p_busy integer, p_status integer,
    p_message text default null, p_propagated_from integer default null, p_resolved text default null
) returns integer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_stepnr integer;
    v_now    integer := resolver.hydra_time(resolver.clock());
begin
    perform from public.Builds b where b.id = p_build for key share skip locked;
    if not found then
        return null;
    end if;

    insert into public.BuildSteps (build, stepnr, type, drvPath, busy, status, errorMsg, startTime, stopTime, machine,
                                   system, propagatedFrom, resolvedDrvPath)
    select p_build,
           coalesce((select max(s.stepnr) from public.BuildSteps s where s.build = p_build), 0) + 1,
           p_type, resolver.hydra_path(d.drv), p_busy, p_status, p_message, v_now,
           case when p_busy = 0 then v_now end, '', d.system,
           (select b.id from public.Builds b where b.id = p_propagated_from), p_resolved
      from resolver.derivation d
     where d.derivation = p_derivation
    returning stepnr into v_stepnr;

    insert into public.BuildStepOutputs (build, stepnr, name, path)
    select p_build, v_stepnr, o.name, resolver.hydra_path(o.path)
      from resolver.output o
     where o.derivation = p_derivation and p_resolved is null;
    return v_stepnr;
end
$$;

comment on function resolver.record_step(integer, bigint, integer, integer, integer, text, integer, text) is
    'Writes a new row of BuildSteps for a derivation; type, busy and status are Hydra''s codes.';
