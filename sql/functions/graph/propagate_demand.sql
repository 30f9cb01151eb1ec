-- propagate_demand(derivations): the inputs that derivations still need become wanted, a part of them now, the rest by a propagation.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.propagate_demand(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.propagate_demand_along(resolver.next_edge_ranges('want', p_derivations, null, 500));
end
$$;

comment on function resolver.propagate_demand(bigint[]) is 'Inputs that derivations still need become wanted.';
