-- propagate_chains(stretches): follows chains that wait for outputs of these derivations, as far as the outputs are valid.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.propagate_chains(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_dynamic bigint[] := array(
        select distinct c.derivation
          from unnest(p_ranges) x
          join resolver.chain c on c.input = x.subject and c.derivation + 0 > x.after and c.derivation + 0 <= x.upto
          join resolver.derivation_state s on s.derivation = c.derivation and s.stage = 'waiting'
         where c.followed + 1 < cardinality(c.outputs));
begin
    if v_dynamic <> '{}' then
        perform resolver.follow_chains(v_dynamic);
        perform resolver.propagate_demand(v_dynamic);
        perform resolver.reevaluate_readiness(v_dynamic);
    end if;
end
$$;

comment on function resolver.propagate_chains(resolver.edge_range[]) is 'Follows chains through outputs that have become valid.';
revoke all on function resolver.propagate_chains(resolver.edge_range[]) from public;
