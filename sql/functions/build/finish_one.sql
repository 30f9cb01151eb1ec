-- finish_one(lease, report): one element of finish_steps, once its lease was checked.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.finish_one(p_lease bigint, p_report jsonb) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_lease resolver.lease;
    v_now   timestamptz := resolver.clock();
begin
    select * into v_lease from resolver.lease l where l.lease = p_lease;
    perform resolver.end_step(v_lease, 0, p_report);

    update resolver.output o set path = r.path, valid_since = v_now, lost = null
      from jsonb_each_text(p_report -> 'outputs') r (name, path)
     where o.derivation = v_lease.derivation and o.name = r.name and o.valid_since is null;
    insert into resolver.realisation (derivation, output, path, source, build, stepnr, machine, time)
    select v_lease.derivation, r.name, r.path, 'built', v_lease.build, v_lease.stepnr, p_report ->> 'machine', v_now
      from jsonb_each_text(p_report -> 'outputs') r (name, path)
    on conflict (derivation, output, path) where ceased is null do nothing;
    update public.BuildStepOutputs b set path = resolver.hydra_path(p_report -> 'outputs' ->> b.name)
     where b.build = v_lease.build and b.stepnr = v_lease.stepnr;

    update resolver.derivation_state s set lease = null, stage = 'buildable' where s.derivation = v_lease.derivation;
    perform resolver.close_lease(p_lease, 'done', md5(p_report::text));
    perform resolver.realise(v_lease.derivation, nullif(p_report -> 'info', 'null'), v_lease.build);
end
$$;

comment on function resolver.finish_one(bigint, jsonb) is 'One derivation was built.';
