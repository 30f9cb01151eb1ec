-- all_finished(builds): returns whether all of these builds are finished or deleted.
create or replace function resolver.all_finished(p_builds integer[]) returns boolean
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select not exists (select from public.Builds b where b.id = any (p_builds) and b.finished + 0 = 0)
$$;

comment on function resolver.all_finished(integer[]) is 'Whether all of these builds are finished or deleted.';
