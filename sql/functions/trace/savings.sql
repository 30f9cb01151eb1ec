-- savings(build, eval): what early cut-off spared: for one build, for the new builds of one evaluation, or (both null) for the
-- last twenty evaluations that resolved anything.
--
-- Returns   (eval, builds, resolutions, cut_off, seconds): cut_off: resolutions that needed no attempt for their sake;
--           seconds: how long what they resolve to took when it was built.
create or replace function resolver.savings(p_build integer default null, p_eval integer default null)
    returns table (eval integer, builds bigint, resolutions bigint, cut_off bigint, seconds double precision)
    language sql stable security definer
    set search_path = pg_catalog, public, pg_temp
as $$
    with chosen as (
        select m.build, m.eval from public.JobsetEvalMembers m
         where p_build is null and m.isNew = 1
           and case when p_eval is not null then m.eval = p_eval
                    else m.eval in (select e.id from public.JobsetEvals e order by e.id desc limit 20) end
        union all
        select p_build, (select max(m.eval) from public.JobsetEvalMembers m where m.build = p_build and m.isNew = 1)
         where p_build is not null
    )
    select c.eval, count(distinct c.build), count(r.resolution), count(r.resolution) filter (where r.cut_off),
           coalesce(sum(n.seconds) filter (where r.cut_off), 0)
      from chosen c
      left join resolver.resolution r on r.build = c.build
      left join lateral (select max(x.seconds)::double precision as seconds from resolver.realisation x
                          where x.derivation = r.resolved and x.source = 'built') n on r.cut_off
     group by c.eval
    having p_build is not null or p_eval is not null or count(r.resolution) > 0
     order by c.eval
$$;

comment on function resolver.savings(integer, integer) is 'Steps that early cut-off spared, and the seconds they took when they were built.';
