-- resolved_step: a step that was resolved, and the step of the resolved derivation in the same build.
create or replace view resolver.resolved_step as
    select r.build, r.stepnr, t.build as terminal_build, t.stepnr as terminal_stepnr
      from public.BuildSteps r
      left join lateral (
          select s.build, s.stepnr
            from public.BuildSteps s
           where s.build = r.build and s.status is distinct from 13
             and s.drvPath = regexp_replace(r.drvPath, '[^/]*$', '') || r.resolvedDrvPath
           order by s.stepnr desc limit 1) t on true
     where r.status = 13;

comment on view resolver.resolved_step is
    'Step rows with status 13, and the row of the same build for the resolved derivation; null if there is none yet.';
