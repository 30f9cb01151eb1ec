-- build_graph(build): returns the derivations that a build needs, as far as they are known, as one object; null for an unknown build.
--
-- {"root": drv, "nodes": [{"drv", "stage", "kind", "resolved_to", "producer"}], "edges": [{"drv", "input", "outputs", "satisfied"}],
--  "chains": [{"drv", "input", "outputs", "followed"}]}
create or replace function resolver.build_graph(p_build integer) returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, public, pg_temp
as $$
    with recursive needed as (
        select d.derivation
          from public.Builds b join resolver.derivation d on d.drv = resolver.base_name(b.drvPath)
         where b.id = p_build
        union
        select x.derivation
          from needed n
         cross join lateral (
              select dep.input as derivation from resolver.dependency dep where dep.derivation = n.derivation
              union all
              select r.resolved from resolver.resolution r where r.derivation = n.derivation and r.released_at is null) x
    )
    select jsonb_build_object(
        'root', resolver.base_name(b.drvPath),
        'nodes', (select coalesce(jsonb_agg(jsonb_build_object(
                             'drv', d.drv, 'stage', s.stage, 'kind', d.kind, 'producer', resolver.producer_of(d.drv),
                             'resolved_to', (select x.drv from resolver.resolution r
                                               join resolver.derivation x on x.derivation = r.resolved
                                              where r.derivation = n.derivation and r.released_at is null)) order by d.drv), '[]')
                    from needed n
                    join resolver.derivation d on d.derivation = n.derivation
                    join resolver.derivation_state s on s.derivation = n.derivation),
        'edges', (select coalesce(jsonb_agg(jsonb_build_object(
                             'drv', d.drv, 'input', i.drv, 'outputs', dep.outputs,
                             'satisfied', cardinality(dep.outputs) = (
                                 select count(*) from resolver.output o
                                  where o.derivation = dep.input and o.name = any (dep.outputs)
                                    and o.valid_since is not null)) order by d.drv, i.drv), '[]')
                    from needed n
                    join resolver.dependency dep on dep.derivation = n.derivation
                    join resolver.derivation d on d.derivation = dep.derivation
                    join resolver.derivation i on i.derivation = dep.input),
        'chains', (select coalesce(jsonb_agg(jsonb_build_object(
                             'drv', d.drv, 'input', i.drv, 'outputs', c.outputs, 'followed', c.followed)
                             order by d.drv, i.drv, c.outputs), '[]')
                    from needed n
                    join resolver.chain c on c.derivation = n.derivation and cardinality(c.outputs) > 1
                    join resolver.derivation d on d.derivation = c.derivation
                    join resolver.derivation i on i.derivation = c.root))
      from public.Builds b
     where b.id = p_build
$$;

comment on function resolver.build_graph(integer) is
    'The derivations that a build needs, with their stages and resolutions, and the dependencies between them.';
