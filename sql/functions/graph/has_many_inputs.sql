-- has_many_inputs(derivation): returns whether a derivation has more inputs than a claim lists: see claimed_inputs().
create or replace function resolver.has_many_inputs(p_derivation bigint) returns boolean
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (select from resolver.dependency dep where dep.derivation = p_derivation offset 500);
end
$$;

comment on function resolver.has_many_inputs(bigint) is 'Whether a derivation has more inputs than a claim lists.';
revoke all on function resolver.has_many_inputs(bigint) from public;
