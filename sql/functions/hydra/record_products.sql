-- record_products(goal): writes outputs, products and metrics of a successful build.
create or replace function resolver.record_products(p_goal resolver.goal) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from public.BuildOutputs o
     where o.build = p_goal.build and not exists (select from resolver.output x where x.derivation = p_goal.root and x.name = o.name);
    insert into public.BuildOutputs (build, name, path)
    select p_goal.build, o.name, resolver.hydra_path(o.path) from resolver.output o where o.derivation = p_goal.root
    on conflict (build, name) do update set path = excluded.path;

    delete from public.BuildProducts p where p.build = p_goal.build;
    insert into public.BuildProducts (build, productnr, type, subtype, fileSize, sha256hash, path, name, defaultPath)
    select p_goal.build, e.nr, e.product ->> 'type', e.product ->> 'subtype', (e.product ->> 'file_size')::bigint,
           e.product ->> 'sha256', e.product ->> 'path', e.product ->> 'name', e.product ->> 'default_path'
      from jsonb_array_elements(p_goal.info -> 'products') with ordinality e (product, nr);

    delete from public.BuildMetrics m where m.build = p_goal.build;
    insert into public.BuildMetrics (build, name, unit, value, project, jobset, job, timestamp)
    select p_goal.build, e.metric ->> 'name', e.metric ->> 'unit', (e.metric ->> 'value')::double precision,
           j.project, j.name, b.job, b.timestamp
      from jsonb_array_elements(p_goal.info -> 'metrics') e (metric)
      join public.Builds b on b.id = p_goal.build
      join public.Jobsets j on j.id = b.jobset_id
    on conflict (build, name) do nothing;
end
$$;

comment on function resolver.record_products(resolver.goal) is 'Fills BuildOutputs, BuildProducts and BuildMetrics of a build.';
