-- wake(inputs): these have outputs that are valid since now: what watches them looks for its next input, chains go on.
--
-- Locks     the caller holds the graph lock.
-- A chain goes on as soon as it can, whatever its derivation watches: what it leads to is to be built meanwhile.
create or replace function resolver.wake(p_inputs bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.start_walks('chain', array(
        select i from unnest(p_inputs) i
         where exists (select from resolver.chain c where c.input = i and c.followed + 1 < cardinality(c.outputs))));
    perform resolver.wake_stretches(resolver.stretches('wake', p_inputs, null, 100));
end
$$;

comment on function resolver.wake(bigint[]) is 'Those that wait for outputs of these look at their inputs again.';
