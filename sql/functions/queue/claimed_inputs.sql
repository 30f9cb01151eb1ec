-- claimed_inputs(lease): returns the outputs that a claimed derivation needs, if the claim leaves them out since there are too many.
-- Takes no graph lock.
--
-- Returns   as "inputs" of a claim: for build, base names of paths; for resolve, {drv: {output: path}}
create or replace function resolver.claimed_inputs(p_lease bigint) returns jsonb
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_lease resolver.lease;
begin
    select * into v_lease from resolver.lease l where l.lease = p_lease;
    return case v_lease.verb when 'resolve' then resolver.sampled_inputs(v_lease.derivation)
                             else resolver.input_paths(v_lease.derivation) end;
end
$$;

comment on function resolver.claimed_inputs(bigint) is 'The outputs that a claimed derivation needs, however many there are.';
