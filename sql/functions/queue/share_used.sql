-- share_used(jobsets): returns how much of its share each jobset has used: seconds built in the last 24 hours / schedulingShares.
--
-- Running steps count up to now. If there is only one jobset, there are no rows.
-- The function reads Hydra's Jobsets at every call, so that changed shares count at once.
create or replace function resolver.share_used(p_jobsets integer[]) returns table (jobset integer, used double precision)
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := resolver.clock();
begin
    if p_jobsets[1] = all (p_jobsets) then
        return;
    end if;
    return query
        select u.jobset, u.seconds / coalesce(j.schedulingShares, 100)
          from (select x.jobset, sum(x.seconds) as seconds
                  from (select h.jobset, h.seconds from resolver.jobset_use h where h.hour > v_now - interval '24 hours'
                        union all
                        select g.jobset, extract(epoch from v_now - l.started_at)::double precision
                          from resolver.lease l join resolver.goal g on g.build = l.build
                         where l.closed_at is null and l.started_at is not null
                        union all
                        select p, 0 from unnest(p_jobsets) p) x
                 group by x.jobset) u
          left join public.Jobsets j on j.id = u.jobset
         where u.jobset = any (p_jobsets);
end
$$;

comment on function resolver.share_used(integer[]) is 'Seconds of building per scheduling share in the last 24 hours, by jobset.';
