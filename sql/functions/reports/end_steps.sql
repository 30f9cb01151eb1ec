-- end_steps(reports): ends the busy rows of these attempts in BuildSteps.
--
-- The status is that of the report, 0 if it has none. If a step made other paths than an earlier step, it is not deterministic.
-- Rows of builds that are being deleted stay as they are.
-- Notifies  step_finished
create or replace function resolver.end_steps(p_reports resolver.report[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_free    bigint[] := resolver.lock_step_rows(array(select r.build from unnest(p_reports) r),
                                              array(select r.stepnr from unnest(p_reports) r));
    v_payload text;
begin
    perform resolver.record_share_used(array(select r.lease from unnest(p_reports) r));
    for v_payload in
        update public.BuildSteps s
           set busy = 0, status = coalesce((r.body ->> 'status')::integer, 0),
               stopTime = resolver.hydra_time(resolver.clock()), errorMsg = r.body ->> 'message',
               machine = coalesce(r.body ->> 'machine', s.machine), overhead = (r.body ->> 'overhead')::integer,
               timesBuilt = (r.body ->> 'times_built')::integer,
               isNonDeterministic = case
                   when exists (select from jsonb_each_text(r.body -> 'outputs') x (name, path)
                                  join resolver.realisation n on n.derivation = r.derivation and n.output = x.name
                                 where n.path <> x.path) then true
                   else (r.body ->> 'non_deterministic')::boolean end
          from unnest(p_reports) with ordinality r (lease, derivation, build, stepnr, outcome, detail, digest, body, nr)
         where s.build = r.build and s.stepnr = r.stepnr and r.nr = any (v_free)
        returning concat_ws(E'\t', s.build, s.stepnr, coalesce(r.body ->> 'log', '-'))
    loop
        perform pg_notify('step_finished', v_payload);
    end loop;
end
$$;

comment on function resolver.end_steps(resolver.report[]) is 'Ends the busy rows of attempts, and notifies Hydra''s programs.';
