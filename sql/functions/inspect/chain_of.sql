-- chain_of(derivation): returns the chain from a derivation along watched inputs, resolved derivations and failed dependencies.
--
-- Returns   (depth, derivation, how): depth 0 is the derivation itself; how: its connection to the previous link. The last link
--           is the derivation that could move.
create or replace function resolver.chain_of(p_derivation bigint)
    returns table (depth integer, derivation bigint, how text)
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with recursive chain as (
        select 0 as depth, p_derivation as derivation, 'itself' as how
        union all
        select c.depth + 1, n.next, n.how
          from chain c
          join resolver.derivation_state s on s.derivation = c.derivation
          left join resolver.watch w on w.derivation = c.derivation
         cross join lateral (
              select coalesce(w.input, s.resolved_to, s.failed_dependency) as next,
                     case when w.input is not null and s.failed_dependency = w.input then 'can never have'
                          when w.input is not null then 'waits for'
                          when s.resolved_to is not null then 'was resolved to'
                          else 'failed with' end as how) n
         where s.stage in ('waiting', 'resolved', 'failed') and n.next is not null and c.depth < 10000
    )
    select c.depth, c.derivation, c.how from chain c
$$;

comment on function resolver.chain_of(bigint) is 'The derivations that a derivation waits for, link by link.';
