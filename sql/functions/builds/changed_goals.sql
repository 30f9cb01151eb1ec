-- changed_goals(builds, limit): returns the builds, among these goals, whose rows in Hydra's tables have changed.
create or replace function resolver.changed_goals(p_builds integer[], p_limit integer) returns integer[]
    language plpgsql stable
    set search_path = pg_catalog, public, pg_temp
as $$
begin
    return array(
        select g.build
          from resolver.goal g
          join resolver.derivation d on d.derivation = g.root
          join resolver.derivation_state s on s.derivation = g.root
          -- finished + 0, here and wherever a build is looked up by its id: among 300 million builds the planner estimates that none is
          -- unfinished, and would read all unfinished builds for each one.
          left join public.Builds b on b.id = g.build and b.finished + 0 = 0
         where g.build = any (p_builds)
           and (b.id is null or right(b.drvPath, length(d.drv)) <> d.drv
                or s.stage not in ('realised', 'failed')
                   and ((b.globalPriority, b.priority) > (s.global_priority, s.priority)
                        or case when b.maxsilent = 0 then 2147483647 else b.maxsilent end > coalesce(s.max_silent, 3600)
                        or case when b.timeout = 0 then 2147483647 else b.timeout end > coalesce(s.timeout, 36000)))
         order by g.build limit p_limit);
end
$$;

comment on function resolver.changed_goals(integer[], integer) is 'Goals whose builds were cancelled, deleted, given another derivation, or became more urgent.';
revoke all on function resolver.changed_goals(integer[], integer) from public;
