-- register_worker(...): registers a worker. The first worker decides which store this database belongs to.
--
-- Arguments systems, features: of the worker's own machine; jobs: how many builds at a time
--           builders: [{"machine", "systems", "features", "mandatory"}], other machines that its Nix builds on
--           feature_limits: {feature: how many derivations that require it at a time}
--           only_kind: local: only derivations that its own machine can build; prefer-local: of these, only preferLocalBuild
-- If no worker lived before, the time of derivations that wait for a machine begins again: see fail_unsupported().
-- Raises    NX015 (check_store) if it has another store than the other workers.
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
    -- This comes before the graph lock: a session that holds the graph lock never waits for Hydra's rows.
    perform resolver.record_runner_start();
    perform resolver.lock_graph();
    insert into resolver.store (directory, identity) values (p_store_directory, p_store_identity) on conflict do nothing;
    perform resolver.check_store(p_store_directory, p_store_identity);
    -- No worker could take waiting derivations meanwhile: their time begins again. If the only worker was restarted, it goes on.
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
    'Registers a worker process with its abilities; returns the number for its claims and heartbeats.';
