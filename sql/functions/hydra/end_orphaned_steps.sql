-- end_orphaned_steps(): ends busy rows without a claim.
--
-- A row has no claim if its build was being deleted when the step ended, and the deletion was rolled back, or if another program
-- left the row before this one ran.
-- Locks     the caller holds the graph lock.
-- Notifies  step_finished, if the step has a result; nothing if it was aborted, as when a claim is revoked.
create or replace function resolver.end_orphaned_steps() returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_builds  integer[];
    v_stepnrs integer[];
    v_free    bigint[];
    v_payload text;
begin
    select array_agg(b.build order by b.build, b.stepnr), array_agg(b.stepnr order by b.build, b.stepnr) into v_builds, v_stepnrs
      from public.BuildSteps b
     where b.busy <> 0
       and not exists (select from resolver.lease l where l.closed_at is null and l.build = b.build and l.stepnr = b.stepnr);
    if v_builds is null then
        return;
    end if;
    v_free := resolver.lock_step_rows(v_builds, v_stepnrs);
    for v_payload in
        update public.BuildSteps b
           set busy = 0, stopTime = resolver.hydra_time(resolver.clock()),
               status = coalesce((select 0 from resolver.derivation d join resolver.realisation r on r.derivation = d.derivation
                                   where d.drv = resolver.base_name(b.drvPath) and r.build = b.build and r.stepnr = b.stepnr limit 1),
                                 (select f.status from resolver.derivation d join resolver.failure f on f.derivation = d.derivation
                                   where d.drv = resolver.base_name(b.drvPath) and f.build = b.build and f.stepnr = b.stepnr limit 1),
                                 3)
          from unnest(v_builds, v_stepnrs) with ordinality x (build, stepnr, nr)
         where b.build = x.build and b.stepnr = x.stepnr and x.nr = any (v_free)
        returning case when b.status <> 3 then concat_ws(E'\t', b.build, b.stepnr, '-') end
    loop
        perform pg_notify('step_finished', v_payload) where v_payload is not null;
    end loop;
    update public.BuildStepOutputs o set path = resolver.hydra_path(r.path)
      from unnest(v_builds, v_stepnrs) with ordinality x (build, stepnr, nr)
      join public.BuildSteps b on b.build = x.build and b.stepnr = x.stepnr
      join resolver.derivation d on d.drv = resolver.base_name(b.drvPath)
      join resolver.realisation r on r.derivation = d.derivation and r.build = x.build and r.stepnr = x.stepnr
     where o.build = x.build and o.stepnr = x.stepnr and o.name = r.output and x.nr = any (v_free);
end
$$;

comment on function resolver.end_orphaned_steps() is 'Ends busy rows of BuildSteps that have no claim.';
