-- hydra_time(t): converts a time for Hydra's integer columns. No other place knows that they hold Unix seconds.
create or replace function resolver.hydra_time(p_time timestamptz) returns integer
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    return floor(extract(epoch from p_time))::integer;
end
$$;

comment on function resolver.hydra_time(timestamptz) is 'A time as Hydra''s tables keep it: Unix seconds.';
