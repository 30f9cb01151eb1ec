-- input_paths(derivation): returns the base names of the outputs that a derivation needs.
create or replace function resolver.input_paths(p_derivation bigint) returns jsonb
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(jsonb_agg(distinct x.path), '[]')
          -- offset: makes the planner go from dependencies to outputs, whatever its estimates are.
          from (select dep.input, dep.outputs from resolver.dependency dep where dep.derivation = p_derivation offset 0) dep
          join resolver.output x on x.derivation = dep.input and x.name = any (dep.outputs));
end
$$;

comment on function resolver.input_paths(bigint) is 'Paths of the outputs that a derivation needs.';
revoke all on function resolver.input_paths(bigint) from public;
