-- checked_info(info): returns the info that a worker read from outputs; null for none. Raises NX020 if Hydra's tables cannot hold it.
--
-- Otherwise the end of the build, which is written later, would raise an error for ever.
create or replace function resolver.checked_info(p_info jsonb) returns jsonb
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if p_info is null or p_info = 'null' then
        return null;
    end if;
    if jsonb_array_length(p_info -> 'products') > 1000 or jsonb_array_length(p_info -> 'metrics') > 1000 then
        raise exception 'a build has at most 1000 products and 1000 metrics' using errcode = 'NX020', hint = 'Leave out the others.';
    end if;
    perform (p_info ->> 'size')::bigint, (p_info ->> 'closure_size')::bigint, (p_info -> 'failed')::boolean;
    perform from jsonb_array_elements(p_info -> 'products') e (product)
      where (e.product ->> 'file_size')::bigint < 0 or e.product ->> 'type' is null or e.product ->> 'subtype' is null or e.product ->> 'name' is null;
    if found then
        raise exception 'a product has no type, subtype or name, or a negative size' using errcode = 'NX020', hint = 'Leave it out.';
    end if;
    perform from jsonb_array_elements(p_info -> 'metrics') e (metric)
      where e.metric ->> 'name' is null or (e.metric ->> 'value')::double precision is null;
    if found then
        raise exception 'a metric has no name or value' using errcode = 'NX020', hint = 'Leave it out.';
    end if;
    return p_info;
end
$$;

comment on function resolver.checked_info(jsonb) is 'The info that a worker read from outputs; an error if Hydra''s tables cannot hold it.';
revoke all on function resolver.checked_info(jsonb) from public;
