-- lease_of(report): the number of the claim that an element of a report is about; null if it has none that can be one.
create or replace function resolver.lease_of(p_report jsonb) returns bigint
    language sql immutable
    set search_path = pg_catalog, pg_temp
as $$
    select case when jsonb_typeof(p_report -> 'lease') = 'number' and p_report ->> 'lease' ~ '^[0-9]{1,18}$'
                then (p_report ->> 'lease')::bigint end
$$;

comment on function resolver.lease_of(jsonb) is 'The claim that an element of a report is about.';
revoke all on function resolver.lease_of(jsonb) from public;
