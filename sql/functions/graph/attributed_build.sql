-- attributed_build(derivation): returns the build that gets the BuildSteps row of an attempt at a derivation.
--
-- If very many derivations were resolved to it, the function looks at the first two hundred.
create or replace function resolver.attributed_build(p_derivation bigint) returns integer
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(
            (select min(g.build)
               from (select p_derivation as derivation
                     union all
                     (select f.derivation from resolver.derivation_state f
                       where f.resolved_to = p_derivation and f.resolved_to > 0 and f.stage = 'resolved' order by f.derivation + 0 limit 200)) r
              cross join lateral (select g.build from resolver.goal g where g.root = r.derivation and g.root > 0 and g.ended_at is null
                                   order by g.build + 0 limit 1) g),
            (select s.owner from resolver.derivation_state s where s.derivation = p_derivation)));
end
$$;

comment on function resolver.attributed_build(bigint) is
    'The unfinished build with the lowest id whose root is the derivation or follows it; if there is none, the owner.';
