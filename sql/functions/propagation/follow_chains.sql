-- follow_chains(derivations): the dependencies of dynamic derivations become the links of their chains, as far as these lead now.
--
-- An output that is a .drv is registered as a derivation. A chain is never shortened: every output on the way to the needed one stays
-- a dependency. So if one of them is lost, the derivation waits for it, and the chain is followed again from there.
-- Stages    unloaded, waiting -> failed, if an output is not a derivation, or is the derivation that needs it
-- Locks     the caller holds the graph lock, and settles the derivations afterwards.
create or replace function resolver.follow_chains(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_dropped bigint[];
    v_bad     record;
begin
    loop
        with made as (
            insert into resolver.derivation (drv)
            select distinct l.path
              from resolver.chain_links(p_derivations) l
             where l.link < cardinality(l.outputs) and l.path ~ '^[0-9a-z]{32}-[^/]+\.drv$'
               and not exists (select from resolver.derivation d where d.drv = l.path)
             order by 1
            returning derivation
        )
        insert into resolver.derivation_state (derivation) select m.derivation from made m;
        exit when not found;
    end loop;

    with needed as (
        select l.derivation, l.input, array_agg(distinct l.outputs[l.link]) as outputs
          from resolver.chain_links(p_derivations) l
         where l.input <> l.derivation
         group by l.derivation, l.input
    ), dropped as (
        delete from resolver.dependency dep
         where dep.derivation = any (p_derivations)
           and not exists (select from needed n where n.derivation = dep.derivation and n.input = dep.input)
        returning dep.input
    ), put as (
        insert into resolver.dependency as dep (derivation, input, outputs)
        select n.derivation, n.input, n.outputs from needed n order by 1, 2
        on conflict (derivation, input) do update set outputs = excluded.outputs where dep.outputs <> excluded.outputs
    )
    select array_agg(d.input) into v_dropped from dropped d;
    update resolver.chain c set followed = l.link - 1, input = l.input
      from (select distinct on (x.derivation, x.root, x.outputs) x.*
              from resolver.chain_links(p_derivations) x
             order by x.derivation, x.root, x.outputs, x.link desc) l
     where c.derivation = l.derivation and c.root = l.root and c.outputs = l.outputs and (c.followed + 1, c.input) <> (l.link, l.input);
    perform resolver.find_owners(array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_dropped) and s.stage not in ('realised', 'failed')));
    -- The .drv of a dropped input is gone: a worker that is about to read it would report a failure of that input.
    perform resolver.revoke_leases(array(select s.lease from resolver.derivation_state s
                                      where s.derivation = any (v_dropped) and s.owner is null and s.lease is not null
                                        and s.stage in ('unloaded', 'resolvable')), 'stale', null, false);

    for v_bad in
        select distinct on (l.derivation) l.derivation, l.outputs[l.link] as output, i.drv, l.path,
               case when made.derivation is null then 'which is not named like a derivation'
                    else 'the very derivation that needs it' end as what
          from resolver.chain_links(p_derivations) l
          join resolver.derivation i on i.derivation = l.input
          left join resolver.derivation made on made.drv = l.path
         where l.link < cardinality(l.outputs) and l.path is not null
           and (made.derivation is null or made.derivation = l.derivation)
         order by l.derivation, i.drv
    loop
        perform resolver.fail_without_attempt(v_bad.derivation, jsonb_build_object(
            'class', 'unsupported', 'status', 1,
            'message', format('output ''%s'' of %s is %s, %s', v_bad.output, resolver.hydra_path(v_bad.drv),
                              resolver.hydra_path(v_bad.path), v_bad.what)));
    end loop;
end
$$;

comment on function resolver.follow_chains(bigint[]) is
    'Dependencies of dynamic derivations: every link of their chains, as far as they can be followed.';
