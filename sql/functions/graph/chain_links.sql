-- chain_links(derivations): returns every link of the chains of these derivations, as far as valid outputs lead.
--
-- Returns   (derivation, root, outputs, link, input, path): the derivation needs output outputs[link] of input; path: of that output,
--           if it is valid
create or replace function resolver.chain_links(p_derivations bigint[])
    returns table (derivation bigint, root bigint, outputs text[], link integer, input bigint, path text)
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with recursive followed as (
        select c.derivation, c.root, c.outputs, 1 as link, c.root as input
          from resolver.chain c
         where c.derivation = any (p_derivations)
        union all
        select f.derivation, f.root, f.outputs, f.link + 1, made.derivation
          from followed f
          join resolver.output o on o.derivation = f.input and o.name = f.outputs[f.link] and o.valid_since is not null
          join resolver.derivation made on made.drv = o.path
         where f.link < cardinality(f.outputs)
    )
    select f.derivation, f.root, f.outputs, f.link, f.input, o.path
      from followed f
      left join resolver.output o on o.derivation = f.input and o.name = f.outputs[f.link] and o.valid_since is not null
$$;

comment on function resolver.chain_links(bigint[]) is 'The links of chains, from the root as far as they can be followed now.';
