-- propagate_failure(stretches): propagates failures, and failed dependencies, of these derivations to their goals and dependents.
--
-- If a goal was opened after the failure and does not accept cached failures, the failed derivation is tried again, and the goal
-- does not end.
-- Locks     the caller holds the graph lock. Dependents that changed go on the work list. If there are more goals than may
--           end at a time, the propagation comes back to them.
create or replace function resolver.propagate_failure(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit  constant integer := 50;
    v_builds integer[] := array(
        select g.build from unnest(p_ranges) x
         cross join lateral (select g.build from resolver.goal g where g.root = x.subject and g.root > 0 and g.ended_at is null
                              order by g.build + 0 limit v_limit) g
         limit v_limit);
    v_goal   record;
begin
    for v_goal in
        select g.build, g.root, g.opened_at, g.retry, s.stage, f.derivation as cause, f.class, f.time, f.build as attempted_for,
               -- An unfinished build with a status was finished before: a user restarted it, or another build.
               (b.finished = 0 and b.buildStatus is not null and g.retry) is true as restarted
          from resolver.goal g
          join resolver.derivation_state s on s.derivation = g.root
          join resolver.failure f on f.derivation = resolver.failure_cause(g.root) and f.cleared_at is null
          left join public.Builds b on b.id = g.build
         where g.build = any (v_builds)
         order by restarted desc, g.build
    loop
        if v_goal.time < v_goal.opened_at and coalesce(v_goal.retry, v_goal.class <> 'builder') then
            perform resolver.clear_failure(v_goal.cause, v_goal.restarted);
            -- The root may have other failures: the propagation comes back to it when this one is cleared.
            perform resolver.start_propagations('fail', array[v_goal.root]);
        else
            update resolver.goal g
               set ended_at = resolver.clock(),
                   status = case when v_goal.stage <> 'failed' then 2 else f.status end,
                   -- An attempt for this build is not cached, whichever way the root came to follow the attempted derivation.
                   is_cached = v_goal.time < v_goal.opened_at
                            or v_goal.attempted_for is distinct from g.build
                               and resolver.resolved_since(v_goal.root, v_goal.cause, v_goal.time),
                   cause = v_goal.cause
              from resolver.failure f
             where g.build = v_goal.build and f.derivation = v_goal.cause and f.cleared_at is null;
            perform resolver.start_propagations('disown', array[v_goal.build::bigint]);
        end if;
    end loop;
    if found and cardinality(v_builds) = v_limit then
        perform resolver.start_propagations('fail', array(
            select x.subject from unnest(p_ranges) x
             where exists (select from resolver.goal g where g.root = x.subject and g.root > 0 and g.ended_at is null)));
    end if;

    with changed as (
        update resolver.derivation_state s
           set failed_dependency = c.input
          from (select distinct on (dep.derivation) dep.derivation, dep.input
                  from unnest(p_ranges) x
                  join resolver.derivation_state i on i.derivation = x.subject
                  join resolver.dependency dep on dep.input = x.subject and dep.derivation + 0 > x.after and dep.derivation + 0 <= x.upto
                 where (i.stage = 'failed' or i.failed_dependency is not null)
                   and cardinality(dep.outputs) > (select count(*) from resolver.output o
                                                    where o.derivation = dep.input and o.name = any (dep.outputs)
                                                      and o.valid_since is not null)
                 order by dep.derivation, dep.input) c
         where s.derivation = c.derivation and s.stage = 'waiting' and s.failed_dependency is null
        returning s.derivation
    )
    insert into resolver.propagation as w (kind, subject) select 'fail', c.derivation from changed c
    on conflict (kind, subject) do update set after = 0 where w.after > 0;
end
$$;

comment on function resolver.propagate_failure(resolver.edge_range[]) is
    'Ends goals whose root failed or has a failed dependency; dependents record their failed dependency.';
