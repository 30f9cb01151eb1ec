-- lease_of(report): returns the lease that an element of a report names; null if it names none, or not as a number.
create or replace function resolver.lease_of(p_report jsonb) returns bigint
    language sql immutable
    set search_path = pg_catalog, pg_temp
as $$
    select case when jsonb_typeof(p_report -> 'lease') = 'number' and p_report ->> 'lease' ~ '^[0-9]{1,18}$'
                then (p_report ->> 'lease')::bigint end
$$;

comment on function resolver.lease_of(jsonb) is 'The lease that an element of a report names.';
revoke all on function resolver.lease_of(jsonb) from public;
