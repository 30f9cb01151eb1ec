-- limits_of(derivation): whether it is the root of a goal, or is followed by one, and the time limits of an attempt.
--
-- Seconds; 0: no limit. The largest of the builds whose root it is; Hydra's defaults when it is the root of none.
create or replace function resolver.limits_of(p_derivation bigint)
    returns table (root boolean, max_silent integer, timeout integer)
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query
        select count(*) > 0,
               case when bool_or(b.maxsilent = 0) then 0 else coalesce(max(b.maxsilent), 3600) end,
               case when bool_or(b.timeout = 0) then 0 else coalesce(max(b.timeout), 36000) end
          from resolver.goal g
          join public.Builds b on b.id = g.build
         where g.ended is null
           and g.root in (select p_derivation
                          union all
                          select f.derivation from resolver.derivation_state f where f.resolved_to = p_derivation);
end
$$;

comment on function resolver.limits_of(bigint) is 'Whether it is a root, and the time limits (seconds) of an attempt.';
