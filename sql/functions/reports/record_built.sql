-- record_built(reports): serves and traces the outputs of successful builds, and writes them to Hydra's step rows.
--
-- If Nix had an output already, and did not build it for the step, the trace has it as found in the local store: its builder is unknown.
-- The first valid path of an output is served until it is lost: another path goes into the trace only.
create or replace function resolver.record_built(p_reports resolver.report[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now       timestamptz := resolver.clock();
    v_directory text := resolver.hydra_path('');
begin
    update resolver.output o set path = x.path, valid_since = v_now, lost_at = null
      from unnest(p_reports) r cross join jsonb_each_text(r.body -> 'outputs') x (name, path)
     where o.derivation = r.derivation and o.name = x.name and o.valid_since is null;
    insert into resolver.realisation (derivation, output, path, source, build, stepnr, machine, seconds, time)
    select r.derivation, x.name, x.path, case when f.already_valid then 'local' else 'built' end, r.build, r.stepnr,
           case when not f.already_valid then r.body ->> 'machine' end,
           case when not f.already_valid then extract(epoch from v_now - coalesce(l.started_at, l.opened_at)) end, v_now
      from unnest(p_reports) r
      join resolver.lease l on l.lease = r.lease
     cross join jsonb_each_text(r.body -> 'outputs') x (name, path)
     cross join lateral (select coalesce((r.body -> 'already_valid')::boolean, false) as already_valid) f
    on conflict (derivation, output, path) where ceased_at is null and derivation > 0 do nothing;
    update public.BuildStepOutputs b set path = v_directory || x.path
      from unnest(p_reports) r cross join jsonb_each_text(r.body -> 'outputs') x (name, path)
     where b.build = r.build and b.stepnr = r.stepnr and b.name = x.name
       -- end_steps() skipped the rows that another transaction holds: these stay as they are.
       and exists (select from public.BuildSteps s where s.build = r.build and s.stepnr = r.stepnr and s.busy = 0);
end
$$;

comment on function resolver.record_built(resolver.report[]) is 'Records the outputs of builds that succeeded.';
