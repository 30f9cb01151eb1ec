-- reevaluate_readiness(derivations, after): each looks for an input that is not satisfied, and watches it; one that has none is ready.
--
-- Arguments after: the inputs up to this number are satisfied; null: nothing is known of any
-- Stages    unloaded, waiting, resolvable, buildable -> waiting, resolvable, buildable
-- Locks     the caller holds the graph lock.
-- Notifies  dependency_ready, step_ready
--
-- If its failed dependency is not one any more, its own dependents learn it by a walk.
-- Which input is watched decides how often this has to be done: failed ones first, since they end the search; then
-- those that wait themselves, since they will take longest; else spread, so that one input's end wakes few. If there are too many
-- inputs to look at in one transaction, they are looked at in the order of their numbers, each once.
-- A derivation that is not got to waits meanwhile: load must not take it for one that was not loaded. One that has a chain which
-- can be followed waits for that: see propagate_chains().
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
    'Derivations watch their next unsatisfied input, or become resolvable or buildable when there is none.';
