-- record_resolution(derivation, resolved, build): the step row that says so (status 13), one for each build and derivation.
--
-- Returns   the step number; null when the build is gone.
create or replace function resolver.record_resolution(p_derivation bigint, p_resolved bigint, p_build integer) returns integer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_drv      text := (select d.drv from resolver.derivation d where d.derivation = p_derivation);
    v_resolved text := (select d.drv from resolver.derivation d where d.derivation = p_resolved);
    v_stepnr   integer;
begin
    update public.BuildSteps s set resolvedDrvPath = v_resolved, stopTime = resolver.hydra_time(resolver.clock())
     where s.build = p_build and s.status = 13 and s.drvPath = resolver.hydra_path(v_drv)
    returning s.stepnr into v_stepnr;
    if not found then
        v_stepnr := resolver.record_step(p_build, p_derivation, 0, 0, 13, null, null, v_resolved);
    end if;
    return v_stepnr;
end
$$;

comment on function resolver.record_resolution(bigint, bigint, integer) is 'The row of BuildSteps with status 13.';
