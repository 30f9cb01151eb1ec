-- reach_dependents(derivations): these failed, or can't be built since an input failed: what depends on them learns it.
--
-- A goal that was opened after the failure, and does not accept cached failures, has it tried again instead of ending.
-- Locks     the caller holds the graph lock. Dependents that changed go on the work list.
create or replace function resolver.reach_dependents(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_goal record;
begin
    for v_goal in
        select g.build, g.root, g.opened, g.retry, s.stage, f.derivation as cause, f.class, f.time,
               -- An unfinished build with a status was finished before: a person restarted it, or another one.
               (b.finished = 0 and b.buildStatus is not null and g.retry) is true as restarted
          from resolver.goal g
          join resolver.derivation_state s on s.derivation = g.root
          join resolver.failure f on f.derivation = resolver.cause_of(g.root) and f.cleared is null
          left join public.Builds b on b.id = g.build
         where g.root = any (p_derivations) and g.ended is null
         order by restarted desc, g.build
    loop
        if v_goal.time < v_goal.opened and coalesce(v_goal.retry, v_goal.class <> 'builder') then
            perform resolver.clear_failure(v_goal.cause, v_goal.restarted);
            -- There may be others: it is looked at again when that one is cleared.
            insert into resolver.walk (kind, derivation) values ('fail', v_goal.root) on conflict do nothing;
        else
            update resolver.goal g
               set ended = resolver.clock(),
                   status = case when v_goal.stage <> 'failed' then 2 else f.status end,
                   cached = v_goal.time < v_goal.opened or resolver.resolved_since(v_goal.root, v_goal.cause, v_goal.time),
                   cause = v_goal.cause
              from resolver.failure f
             where g.build = v_goal.build and f.derivation = v_goal.cause and f.cleared is null;
        end if;
    end loop;

    with changed as (
        update resolver.derivation_state s
           set failed_dependency = c.input
          from (select distinct on (dep.derivation) dep.derivation, dep.input
                  from resolver.dependency dep
                  join resolver.derivation_state i on i.derivation = dep.input
                 where dep.input = any (p_derivations)
                   and (i.stage = 'failed' or i.failed_dependency is not null)
                   and cardinality(dep.outputs) > (select count(*) from resolver.output o
                                                    where o.derivation = dep.input and o.name = any (dep.outputs)
                                                      and o.valid_since is not null)
                 order by dep.derivation, dep.input) c
         where s.derivation = c.derivation and s.stage = 'waiting' and s.failed_dependency is null
        returning s.derivation
    )
    insert into resolver.walk (kind, derivation) select 'fail', c.derivation from changed c on conflict do nothing;
end
$$;

comment on function resolver.reach_dependents(bigint[]) is
    'Goals whose root failed, or has a failed dependency, end; dependents get to know their failed dependency.';
