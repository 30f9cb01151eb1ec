-- failure_cause(derivation): returns the derivation at the end of the chain of failed dependencies, which failed itself.
create or replace function resolver.failure_cause(p_derivation bigint) returns bigint
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select c.derivation
          from resolver.failing_chain(p_derivation) c join resolver.derivation_state s on s.derivation = c.derivation
         where c.failed_dependency is null and s.stage = 'failed');
end
$$;

comment on function resolver.failure_cause(bigint) is 'The derivation whose own failure is the cause; null if there is no failure.';
