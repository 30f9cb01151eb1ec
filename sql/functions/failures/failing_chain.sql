-- failing_chain(derivation): returns the chain of failed dependencies that begins with the derivation.
create or replace function resolver.failing_chain(p_derivation bigint) returns table (derivation bigint, failed_dependency bigint)
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with recursive chain as (
        select s.derivation, s.failed_dependency from resolver.derivation_state s where s.derivation = p_derivation
        union
        select s.derivation, s.failed_dependency
          from chain c join resolver.derivation_state s on s.derivation = c.failed_dependency
    )
    select c.derivation, c.failed_dependency from chain c;
end
$$;

comment on function resolver.failing_chain(bigint) is 'The chain of failed dependencies from a derivation to the failure.';
