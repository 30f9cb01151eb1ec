-- blocking_derivations(derivation): returns the end of the chain of watching and following, and why that derivation does not move.
--
-- Returns   {"drv", "stage", "reason"}
create or replace function resolver.blocking_derivations(p_derivation bigint) returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object('drv', d.drv, 'stage', s.stage, 'reason', resolver.reason(c.derivation))
      from resolver.chain_of(p_derivation) c
      join resolver.derivation_state s on s.derivation = c.derivation
      join resolver.derivation d on d.derivation = c.derivation
     order by c.depth desc
     limit 1
$$;

comment on function resolver.blocking_derivations(bigint) is 'The derivation at the end of the chain of watching and following, and why it does not move.';
