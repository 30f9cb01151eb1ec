-- build_time_limits(derivation): returns whether a derivation, or a follower, is the root of a goal, and the time limits of an attempt.
--
-- Seconds; 0: no limit. The limits are the largest of the builds that need the derivation, and at least Hydra's defaults. If only
-- builds need it whose root it is, the limits of these builds count even if they are lower.
create or replace function resolver.build_time_limits(p_derivation bigint)
    returns table (root boolean, max_silent integer, timeout integer)
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_none constant integer := 2147483647;
begin
    return query
        with same as materialized (
            select p_derivation as derivation
            union all
            (select f.derivation from resolver.derivation_state f where f.resolved_to = p_derivation and f.resolved_to > 0 and f.stage = 'resolved'
              order by f.derivation + 0 limit 200)
        ), roots as materialized (
            select count(*) > 0 as any, max(case when b.maxsilent = 0 then v_none else b.maxsilent end) as max_silent,
                   max(case when b.timeout = 0 then v_none else b.timeout end) as timeout
              from (select g.build from same m
                     cross join lateral (select g.build from resolver.goal g where g.root = m.derivation and g.root > 0 and g.ended_at is null
                                          order by g.build + 0 limit 200) g
                     limit 200) g
              join public.Builds b on b.id = g.build
        ), inputs as materialized (
            select case when r.any and r.max_silent >= 3600 and r.timeout >= 36000 then false
                        else not r.any
                             -- If there are very many dependents, the first two hundred are looked at; one of the others is likely to wait.
                             or (select bool_or(w.stage = 'waiting' and w.owner is not null) or count(*) = 200
                                   from (select dep.derivation from same m
                                          cross join lateral (select dep.derivation from resolver.dependency dep
                                                               where dep.input = m.derivation order by dep.derivation + 0 limit 200) dep
                                          limit 200) n
                                   join resolver.derivation_state w on w.derivation = n.derivation) end as any
              from roots r
        )
        select r.any,
               coalesce(nullif(greatest(r.max_silent, s.max_silent, case when i.any then 3600 end), v_none), 0),
               coalesce(nullif(greatest(r.timeout, s.timeout, case when i.any then 36000 end), v_none), 0)
          from roots r, inputs i, resolver.derivation_state s
         where s.derivation = p_derivation;
end
$$;

comment on function resolver.build_time_limits(bigint) is 'Whether a derivation is a root, and the time limits (seconds) of an attempt.';
revoke all on function resolver.build_time_limits(bigint) from public;
