-- is_retried(derivation, failure): returns whether a derivation is tried again: its failure is transient and below setting.max_tries.
create or replace function resolver.is_retried(p_derivation bigint, p_failure jsonb) returns boolean
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return p_failure ->> 'class' = 'transient'
       and (select s.tries + 1 < x.max_tries from resolver.derivation_state s cross join resolver.setting x where s.derivation = p_derivation);
end
$$;

comment on function resolver.is_retried(bigint, jsonb) is 'Whether a failure is transient, and the derivation has tries left.';
revoke all on function resolver.is_retried(bigint, jsonb) from public;
