-- want_inputs(derivations): what they still need is wanted, a part of it now, the rest by a walk.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.want_inputs(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.want_stretches(resolver.stretches('want', p_derivations, null, 500));
end
$$;

comment on function resolver.want_inputs(bigint[]) is 'What derivations still need becomes wanted.';
