-- first_changed_sample(derivation, inputs, outputs, paths): returns whether samples differ from the valid outputs that it needs.
create or replace function resolver.first_changed_sample(p_derivation bigint, p_inputs bigint[], p_outputs text[], p_paths text[])
    returns boolean
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select n.input, n.name, o.path
          from (select dep.input, n.name
                  from resolver.dependency dep cross join unnest(dep.outputs) n (name)
                 where dep.derivation = p_derivation offset 0) n
          left join resolver.output o on o.derivation = n.input and o.name = n.name and o.valid_since is not null
        except
        select s.input, s.name, s.path from unnest(p_inputs, p_outputs, p_paths) s (input, name, path) where s.path is not null)
        or cardinality(p_inputs) <> (select sum(cardinality(dep.outputs)) from resolver.dependency dep where dep.derivation = p_derivation);
end
$$;

comment on function resolver.first_changed_sample(bigint, bigint[], text[], text[]) is
    'Whether samples differ from the valid outputs that a derivation needs.';
revoke all on function resolver.first_changed_sample(bigint, bigint[], text[], text[]) from public;
