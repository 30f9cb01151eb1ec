-- request_changed_builds(): puts unfinished builds without a goal on the list of builds to follow: restarted builds, and overlooked ones. Builds
-- whose goal has ended, and that were deleted or got another derivation, go on the list as well.
--
-- The function reads all unfinished builds, without the graph lock: some microseconds for each. Here the planner may hash.
create or replace function resolver.request_changed_builds() returns void
    language sql volatile
    set search_path = pg_catalog, public, pg_temp
    set enable_hashjoin = on set plan_cache_mode = auto
as $$
    insert into resolver.build_request (build)
    select b.id
      from public.Builds b
      left join resolver.goal g on g.build = b.id
     where b.finished = 0 and (g.build is null or g.recorded_at is not null)
    union
    select g.build
      from resolver.goal g
      join resolver.derivation d on d.derivation = g.root
      left join public.Builds b on b.id = g.build
     where g.ended_at is not null and g.recorded_at is null and (b.id is null or right(b.drvPath, length(d.drv)) <> d.drv)
    on conflict do nothing
$$;

comment on function resolver.request_changed_builds() is 'Puts unfinished builds without a goal on the list of builds that become goals.';
revoke all on function resolver.request_changed_builds() from public;
