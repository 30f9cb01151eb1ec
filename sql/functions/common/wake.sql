-- wake(inputs): these have outputs that are valid since now: who watches them looks for its next input, chains go on.
--
-- Locks     the caller holds the graph lock.
-- A chain goes on as soon as it can, whatever its derivation watches: what it leads to is to be built meanwhile.
create or replace function resolver.wake(p_inputs bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_waiting bigint[];
    v_dynamic bigint[];
begin
    select array_agg(x.derivation order by x.derivation), array_agg(x.derivation) filter (where x.dynamic)
      into v_waiting, v_dynamic
      from (select w.derivation, false as dynamic from resolver.watch w where w.input = any (p_inputs)
            union all
            select c.derivation, true
              from resolver.chain c join resolver.derivation_state s on s.derivation = c.derivation and s.stage = 'waiting'
             where c.input = any (p_inputs) and c.followed + 1 < cardinality(c.outputs)) x;
    if v_dynamic is not null then
        perform resolver.follow_chains(v_dynamic);
        perform resolver.refuse_missing_outputs(v_dynamic);
        perform resolver.want_inputs(v_dynamic);
    end if;
    if v_waiting is not null then
        perform resolver.settle(v_waiting);
    end if;
end
$$;

comment on function resolver.wake(bigint[]) is 'Those that wait for outputs of these look at their inputs again.';
