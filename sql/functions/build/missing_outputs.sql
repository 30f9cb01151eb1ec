-- missing_outputs(lease, outputs): which outputs of the derivation a report of success leaves out.
--
-- Returns   a sentence; null when the report names them all.
create or replace function resolver.missing_outputs(p_lease bigint, p_outputs jsonb) returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select 'the report has no path for ' || string_agg(o.name, ', ' order by o.name)
      from resolver.lease l
      join resolver.output o on o.derivation = l.derivation
     where l.lease = p_lease and (p_outputs ->> o.name) is null
$$;

comment on function resolver.missing_outputs(bigint, jsonb) is 'Outputs that a report of success leaves out, in words.';
