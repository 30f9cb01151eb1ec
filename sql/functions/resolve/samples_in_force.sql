-- samples_in_force(derivation, samples): whether a resolution was made from the paths that are served now, and from all.
create or replace function resolver.samples_in_force(p_derivation bigint, p_samples jsonb) returns boolean
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with sampled as (
        select d.derivation as input, e.sample ->> 1 as output, e.sample ->> 2 as path
          from jsonb_array_elements(p_samples) e (sample)
          left join resolver.derivation d on d.drv = e.sample ->> 0
    ), needed as (
        select dep.input, n.name as output, o.path
          from resolver.dependency dep
         cross join unnest(dep.outputs) n (name)
          left join resolver.output o
            on o.derivation = dep.input and o.name = n.name and o.valid_since is not null
         where dep.derivation = p_derivation
    )
    select not exists (select from needed n full join sampled s on s.input = n.input and s.output = n.output
                        where n.path is distinct from s.path or n.path is null)
$$;

comment on function resolver.samples_in_force(bigint, jsonb) is
    'Every needed output was sampled, with the path that is served now.';
