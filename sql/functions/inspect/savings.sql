-- savings(build, eval): returns what early cut-off saved: for one build, for the new builds of one evaluation, or (both null) for each
-- of the last twenty evaluations that has a resolution.
--
-- Returns   (eval, builds, resolutions, cut_off, seconds): cut_off: resolutions that needed no attempt of their own;
--           seconds: how long the resolved derivations took when they were built.
create or replace function resolver.savings(p_build integer default null, p_eval integer default null)
    returns table (eval integer, builds bigint, resolutions bigint, cut_off bigint, seconds double precision)
    language sql stable security definer
    set search_path = pg_catalog, public, pg_temp
as $$
    with chosen as (
        select m.build, m.eval from public.JobsetEvalMembers m
         where p_build is null and m.isNew = 1
           and m.eval = any (case when p_eval is not null then array[p_eval]
                                  else array(select e.id from public.JobsetEvals e order by e.id desc limit 20) end)
        union all
        select b.id, (select max(m.eval) from public.JobsetEvalMembers m where m.build = b.id and m.isNew = 1)
          from public.Builds b where b.id = p_build
    )
    select c.eval, count(distinct c.build), count(r.resolution), count(r.resolution) filter (where r.is_cut_off),
           coalesce(sum(n.seconds), 0)::double precision
      from chosen c
      left join resolver.resolution r on r.build = c.build
      left join resolver.realisation n on r.is_cut_off and n.realisation = resolver.known_from(r.resolution)
     group by c.eval
    having p_build is not null or p_eval is not null or count(r.resolution) > 0
     order by c.eval
$$;

comment on function resolver.savings(integer, integer) is 'Steps that early cut-off saved, and the seconds they took when they were built.';
