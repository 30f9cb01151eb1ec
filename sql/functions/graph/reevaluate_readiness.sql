-- reevaluate_readiness(derivations, after): each derivation looks for an unsatisfied input and watches it; a derivation without one is ready.
--
-- Arguments after: the inputs up to this number are satisfied; null: all inputs are looked at
-- Stages    unloaded, waiting, resolvable, buildable -> waiting, resolvable, buildable
-- Locks     the caller holds the graph lock.
-- Notifies  dependency_ready, step_ready
--
-- If its failed dependency has not failed any more, a propagation reaches the derivation's own dependents.
-- The choice of the watched input decides how often this has to be done: failed inputs come first, since they end the search; then
-- inputs that wait themselves, since they take longest; else a hash spreads the watchers, so that the end of one input wakes few.
-- If there are too many inputs for one transaction, the derivation goes through them in the order of their numbers, each once.
-- A derivation beyond the limit is set to waiting, so that load does not take it for unloaded. A derivation with a chain that can
-- still be followed waits for that: see propagate_chains().
create or replace function resolver.reevaluate_readiness(p_derivations bigint[], p_after bigint[] default null) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ranges resolver.edge_range[];
begin
    if p_derivations is null or cardinality(p_derivations) = 0 then
        return;
    end if;
    v_ranges := resolver.next_edge_ranges('settle', p_derivations, p_after, 2000);
    if cardinality(v_ranges) < cardinality(p_derivations) then
        with later as (
            update resolver.derivation_state s set stage = 'waiting'
              from (select x.derivation, (select min(dep.input) from resolver.dependency dep where dep.derivation = x.derivation) as input
                      from unnest(p_derivations[cardinality(v_ranges) + 1:]) x (derivation)) l
              join resolver.derivation d on d.derivation = l.derivation and d.kind is not null
             where s.derivation = l.derivation and l.input is not null and s.lease is null
               and s.stage in ('unloaded', 'waiting', 'resolvable', 'buildable')
            returning s.derivation, l.input
        )
        insert into resolver.watch (derivation, input) select l.derivation, l.input from later l
        on conflict (derivation) do nothing;
    end if;
    perform resolver.reevaluate_readiness_along(v_ranges);
end
$$;

comment on function resolver.reevaluate_readiness(bigint[], bigint[]) is
    'Derivations watch their next unsatisfied input, or become resolvable or buildable if there is none.';
