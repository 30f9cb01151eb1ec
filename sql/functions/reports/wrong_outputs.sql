-- wrong_outputs(derivation, outputs): returns the errors in {name: path}, the outputs that a build reported; null if there are none.
create or replace function resolver.wrong_outputs(p_derivation bigint, p_outputs jsonb) returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if jsonb_typeof(p_outputs) is distinct from 'object' then
        return 'the report has no outputs';
    end if;
    return (
        select string_agg(case when x.path is null then 'the report has no path for ' || o.name
                               when o.name is null then 'the derivation has no output ' || x.name
                               when x.path !~ '^[0-9a-z]{32}-[0-9a-zA-Z+._?=-]{1,211}$' then format('%L is no base name of a store path', x.path)
                               else format('output %s has the path %s', o.name, o.path) end, '; ' order by coalesce(o.name, x.name))
          from (select o.name, o.path from resolver.output o where o.derivation = p_derivation) o
          full join jsonb_each_text(p_outputs) x (name, path) on x.name = o.name
          join resolver.derivation d on d.derivation = p_derivation
         where x.path is null or o.name is null or x.path !~ '^[0-9a-z]{32}-[0-9a-zA-Z+._?=-]{1,211}$'
            or d.kind in ('input-addressed', 'fixed') and o.path <> x.path);
end
$$;

comment on function resolver.wrong_outputs(bigint, jsonb) is 'The errors in the outputs that a build reported; null if there are none.';
revoke all on function resolver.wrong_outputs(bigint, jsonb) from public;
