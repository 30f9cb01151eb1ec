-- register_worker(...): a worker introduces itself. The first one says which store this database speaks about.
--
-- Arguments systems, features: what its own machine builds; jobs: how many at a time
--           builders: [{"machine", "systems", "features", "mandatory"}], other machines that its Nix builds on
--           feature_limits: {feature: how many derivations that require it at a time}
--           only_kind: local: not what a builder would have to build; prefer-local: of that only preferLocalBuild
-- The first one after a time in which none lived has the time of what waits for a machine begin anew: see fail_unsupported().
-- Raises    NX015 (check_store) when it has another store than the other workers.
create or replace function resolver.register_worker(
    p_name text, p_verbs text[], p_systems text[], p_features text[], p_store_directory text, p_store_identity text,
    p_jobs integer default null, p_builders jsonb default '[]', p_feature_limits jsonb default '{}', p_only_kind text default null
) returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_worker integer;
    v_since  timestamptz := resolver.clock() - 2 * resolver.lease_time();
begin
    -- Before the graph lock, which is never held while Hydra's rows are waited for.
    perform resolver.record_runner_start();
    perform resolver.lock_graph();
    insert into resolver.store (directory, identity) values (p_store_directory, p_store_identity) on conflict do nothing;
    perform resolver.check_store(p_store_directory, p_store_identity);
    -- Nobody could take what waited meanwhile: it has the whole time again. Not when the only worker was but started again.
    if not exists (select from resolver.worker w where w.gone_at is null and w.heartbeat >= v_since)
       and not exists (select from resolver.worker w where w.gone_at >= v_since and w.heartbeat >= v_since) then
        update resolver.machine_type m set unsupported_since = resolver.clock() where m.unsupported_since is not null;
    end if;
    insert into resolver.worker (name, verbs, systems, features, jobs, builders, feature_limits, only_kind, started_at, heartbeat)
    values (p_name, p_verbs, p_systems, p_features, p_jobs,
            array(select row(b.machine, b.systems, coalesce(b.features, '{}'), coalesce(b.mandatory, '{}'))::resolver.builder
                    from jsonb_populate_recordset(null::resolver.builder, p_builders) b),
            (select coalesce(jsonb_object_agg(f.key, f.value::integer), '{}') from jsonb_each_text(p_feature_limits) f),
            p_only_kind, resolver.clock(), resolver.clock())
    returning worker into v_worker;
    return v_worker;
end
$$;

comment on function resolver.register_worker(text, text[], text[], text[], text, text, integer, jsonb, jsonb, text) is
    'Introduces a worker process with what it can do; returns the number for its claims and heartbeats.';
