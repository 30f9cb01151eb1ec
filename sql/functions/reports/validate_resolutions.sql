-- validate_resolutions(reports): open ones become done, stale, confirm, retried or refused (the report says nothing). Writes nothing.
create or replace function resolver.validate_resolutions(p_reports resolver.report[]) returns resolver.report[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        with sampled as (
            select r.derivation, d.derivation as input, e.sample ->> 1 as output, e.sample ->> 2 as path
              from unnest(p_reports) r
             cross join jsonb_array_elements(r.body -> 'samples') e (sample)
              left join resolver.derivation d on d.drv = e.sample ->> 0
             where r.outcome = 'open' and not r.body ?| '{failed,resolution}'
        ), needed as (
            select r.derivation, dep.input, n.name as output, o.path
              from unnest(p_reports) r
              join resolver.dependency dep on dep.derivation = r.derivation
             cross join unnest(dep.outputs) n (name)
              left join resolver.output o on o.derivation = dep.input and o.name = n.name and o.valid_since is not null
             where r.outcome = 'open' and not r.body ?| '{failed,resolution}'
        ), stale as (
            select distinct coalesce(n.derivation, s.derivation) as derivation
              from needed n
              full join sampled s on s.derivation = n.derivation and s.input = n.input and s.output = n.output
             where n.path is distinct from s.path or n.path is null
            union
            select r.derivation from unnest(p_reports) r where r.outcome = 'open' and r.body ->> 'stale' = 'true'
        ), unconfirmed as (
            select r.lease, jsonb_object_agg(o.name, o.path)::text as outputs
              from unnest(p_reports) r
              join resolver.derivation d on d.drv = r.body -> 'resolved' ->> 'drv'
              join resolver.output o on o.derivation = d.derivation and o.valid_since is not null
             where r.outcome = 'open' and not coalesce(r.body -> 'resolved' -> 'confirmed' ? o.path, false)
               and not exists (select from jsonb_to_recordset(r.body -> 'resolved' -> 'outputs') v (name text, path text, valid boolean)
                                where v.name = o.name and v.path = o.path and v.valid)
             group by r.lease
        ), unwritten as (
            select r.lease from unnest(p_reports) r
             where r.outcome = 'open' and r.body -> 'resolved' ->> 'written' = 'false'
               and not exists (select from resolver.derivation d join resolver.output o on o.derivation = d.derivation
                                where d.drv = r.body -> 'resolved' ->> 'drv'
                               having bool_and(o.valid_since is not null
                                               or not exists (select from resolver.output w where w.derivation = r.derivation
                                                                 and w.name = o.name and w.is_wanted)))
        )
        select coalesce(array_agg(row(r.lease, r.derivation, r.build, r.stepnr,
                   case when r.outcome <> 'open' then r.outcome
                        when not r.body ?| array['failed', 'resolved'] then 'refused'
                        when resolver.is_retried(r.derivation, r.body -> 'failed') then 'retried'
                        when s.derivation is not null then 'stale'
                        when u.outputs is not null or w.lease is not null then 'confirm'
                        else 'done' end,
                   case when s.derivation is null then coalesce(u.outputs, case when w.lease is not null then '{}' end) end, r.digest, r.body)::resolver.report order by r.nr), '{}')
          from unnest(p_reports) with ordinality r (lease, derivation, build, stepnr, outcome, detail, digest, body, nr)
          left join stale s on s.derivation = r.derivation and r.outcome = 'open'
          left join unconfirmed u on u.lease = r.lease
          left join unwritten w on w.lease = r.lease);
end
$$;

comment on function resolver.validate_resolutions(resolver.report[]) is
    'Stale: a needed output was not sampled, or has another path now; confirm: known outputs have to be confirmed first, or the .drv has to be written.';
