-- changed_goals(builds, limit): of these, which are goals, those whose rows in Hydra's tables are not as they were.
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
          -- finished + 0, here and wherever a build is looked for by its id: among 300 million builds the planner knows of none that are
          -- unfinished, and would look through all that are for each one.
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
