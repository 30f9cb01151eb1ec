-- attributed_build(derivation): the build whose step an attempt at a derivation is.
--
-- Of very many that were resolved to it, the first two hundred are asked.
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
    'The unfinished build with the lowest id whose root the derivation is, or follows to it; else its owner.';
