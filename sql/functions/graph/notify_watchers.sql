-- notify_watchers(inputs): outputs of these have become valid: their watchers look for the next input, and chains go on.
--
-- Locks     the caller holds the graph lock.
-- A chain goes on as soon as it can, whichever input its derivation watches: its next link can be built meanwhile.
create or replace function resolver.notify_watchers(p_inputs bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.start_propagations('chain', array(
        select i from unnest(p_inputs) i
         where exists (select from resolver.chain c where c.input = i and c.followed + 1 < cardinality(c.outputs))));
    perform resolver.notify_watchers_along(resolver.next_edge_ranges('wake', p_inputs, null, 100));
end
$$;

comment on function resolver.notify_watchers(bigint[]) is 'Derivations that wait for outputs of these look at their inputs again.';
