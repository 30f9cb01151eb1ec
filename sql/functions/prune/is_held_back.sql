-- is_held_back(goal): returns whether its build ended by a failure that is in force and that Hydra's rows do not name.
--
-- The build is restarted when that failure is cleared: see restart_affected_builds().
create or replace function resolver.is_held_back(p_goal resolver.goal) returns boolean
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select p_goal.blamed_at is not null
       and exists (select from public.Builds b where b.id = p_goal.build and b.finished = 1 and b.buildStatus = p_goal.status)
       and exists (select from resolver.failure f where f.derivation = p_goal.cause and (f.cleared_at is null or f.is_reopening))
$$;

comment on function resolver.is_held_back(resolver.goal) is 'Whether only this goal records which failure a build waits for.';
revoke all on function resolver.is_held_back(resolver.goal) from public;
