-- register_resolved(reports): registers the resolved derivations, with their outputs as the callers found them in the store.
--
-- Returns   their numbers, in the order of reports.
-- Locks     the caller holds the graph lock.
-- While a derivation is being built, or after an attempt that was cut short, only the report of a build makes its outputs valid:
-- Nix may have finished that attempt all the same, and its step has to succeed, on the account of its build.
create or replace function resolver.register_resolved(p_reports resolver.report[]) returns bigint[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_resolved bigint[];
begin
    insert into resolver.derivation as d (drv, name, system, kind, features, prefer_local, must_resolve, machine_type)
    select distinct on (x.drv) x.drv, x.name, x.system, x.kind, f.features, x.prefer_local, false,
           resolver.machine_type_of(x.system, f.features, x.prefer_local, x.kind = 'floating')
      from unnest(p_reports) r
     cross join jsonb_to_record(r.body -> 'resolved')
           x (drv text, name text, system text, kind text, features jsonb, prefer_local boolean)
     cross join lateral (select array(select jsonb_array_elements_text(x.features)) as features) f
     where x.name is not null
     order by x.drv
    on conflict (drv) do update
       set name = excluded.name, system = excluded.system, kind = excluded.kind, features = excluded.features,
           prefer_local = excluded.prefer_local, must_resolve = false, machine_type = excluded.machine_type
     where d.kind is null;
    v_resolved := array(
        select d.derivation
          from unnest(p_reports) with ordinality r (lease, derivation, b, n, outcome, detail, digest, body, nr)
          join resolver.derivation d on d.drv = r.body -> 'resolved' ->> 'drv'
         order by r.nr);

    insert into resolver.derivation_state (derivation, owner, jobset, global_priority, height, priority, max_silent, timeout)
    select distinct on (x.resolved) x.resolved, s.owner, s.jobset, s.global_priority, s.height, s.priority, s.max_silent, s.timeout
      from unnest(p_reports) with ordinality r (lease, derivation, b, n, outcome, detail, digest, body, nr)
      join unnest(v_resolved) with ordinality x (resolved, nr) on x.nr = r.nr
      join resolver.derivation_state s on s.derivation = r.derivation
     order by x.resolved, s.global_priority desc, s.priority desc, s.owner
    on conflict (derivation) do nothing;

    perform resolver.record_outputs(
        (select jsonb_agg(o.output || jsonb_build_object('drv', x.drv, 'build', x.owner)
                          || case when s.stage = 'building' or s.stage = 'buildable' and exists (
                                       select from public.BuildSteps b
                                        where b.drvPath = resolver.hydra_path(x.drv) and b.type = 0 and b.status in (3, 4))
                                  then '{"valid": false}' else '{}'::jsonb end)
           from (select distinct on (r.body -> 'resolved' ->> 'drv') r.body -> 'resolved' ->> 'drv' as drv,
                        r.body -> 'resolved' -> 'outputs' as outputs, s.owner
                   from unnest(p_reports) r join resolver.derivation_state s on s.derivation = r.derivation
                  order by 1, r.lease) x
           join resolver.derivation d on d.drv = x.drv
           join resolver.derivation_state s on s.derivation = d.derivation
          cross join jsonb_array_elements(x.outputs) o (output)), 'local');
    return v_resolved;
end
$$;

comment on function resolver.register_resolved(resolver.report[]) is 'Registers resolved derivations.';
