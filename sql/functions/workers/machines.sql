-- machines(): returns the machines that build, by name, with systems, features and running steps. A worker's machine is localhost.
--
-- The worker's own system comes first: Hydra shows the first one.
create or replace function resolver.machines() returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    with builder as (
        select w.* from resolver.worker w where w.gone_at is null and 'build' = any (w.verbs)
    ), offer as (
        select 'localhost' as machine, b.worker, b.systems, b.features, '{}'::text[] as mandatory, b.jobs from builder b where b.systems <> '{}'
        union all
        select m.machine, b.worker, m.systems, m.features, m.mandatory, null from builder b cross join unnest(b.builders) m
    ), running as (
        select s.machine, count(*) as n
          from resolver.lease l join public.BuildSteps s on s.build = l.build and s.stepnr = l.stepnr
         where l.closed_at is null and l.verb = 'build'
         group by s.machine
    )
    select coalesce(jsonb_object_agg(o.machine, jsonb_build_object(
               'systems', (select coalesce(jsonb_agg(s.system order by s.place), '[]')
                             from (select x.system, min(array[p.worker::bigint, x.nr]) as place
                                     from offer p cross join unnest(p.systems) with ordinality x (system, nr)
                                    where p.machine = o.machine group by x.system) s),
               'features', (select coalesce(jsonb_agg(distinct x), '[]') from offer p, unnest(p.features) x where p.machine = o.machine),
               'mandatory', (select coalesce(jsonb_agg(distinct x), '[]') from offer p, unnest(p.mandatory) x where p.machine = o.machine),
               'jobs', o.jobs, 'running', coalesce(r.n, 0))), '{}')
      from (select p.machine, sum(p.jobs) as jobs from offer p group by p.machine) o
      left join running r on r.machine = o.machine
$$;

comment on function resolver.machines() is 'Machines that live workers build on, with systems, features, and running steps.';
