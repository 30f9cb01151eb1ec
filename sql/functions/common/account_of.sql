-- account_of(derivation): the build whose step an attempt at a derivation is.
--
-- What has ended is left out by a filter: goals are looked for by their root, never among all that are open.
create or replace function resolver.account_of(p_derivation bigint) returns integer
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(
            (select min(g.build) filter (where g.ended is null)
               from resolver.goal g
              where g.root in (select p_derivation
                               union all
                               select f.derivation from resolver.derivation_state f where f.resolved_to = p_derivation)),
            (select s.owner from resolver.derivation_state s where s.derivation = p_derivation)));
end
$$;

comment on function resolver.account_of(bigint) is
    'The unfinished build with the lowest id whose root the derivation is, or follows to it; else its owner.';
