-- sampled_inputs(derivation): returns the outputs that a derivation needs: {drv: {output: path}}.
create or replace function resolver.sampled_inputs(p_derivation bigint) returns jsonb
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(jsonb_object_agg(i.drv, i.outputs), '{}')
          from (select di.drv, jsonb_object_agg(x.name, x.path) as outputs
                  from (select dep.input, dep.outputs from resolver.dependency dep where dep.derivation = p_derivation offset 0) dep
                  join resolver.derivation di on di.derivation = dep.input
                  join resolver.output x on x.derivation = dep.input and x.name = any (dep.outputs)
                 group by di.drv) i);
end
$$;

comment on function resolver.sampled_inputs(bigint) is 'The outputs that a derivation needs, with their paths, by input.';
revoke all on function resolver.sampled_inputs(bigint) from public;
