-- calling_functions(context): returns the functions of this schema in a call stack, as GET DIAGNOSTICS gives it, innermost first.
create or replace function resolver.calling_functions(p_context text) returns text[]
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select m.found[1]
          from regexp_matches(p_context, '^PL/pgSQL function resolver\.(\w+)\(', 'gn') with ordinality m (found, nr)
         order by m.nr);
end
$$;

comment on function resolver.calling_functions(text) is 'The functions of this schema in a call stack, innermost first.';
