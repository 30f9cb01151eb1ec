-- reevaluate_readiness_along(stretches): each derivation looks for an unsatisfied input in this part of its inputs: see reevaluate_readiness().
--
-- Stages    unloaded, waiting, resolvable, buildable -> waiting, resolvable, buildable
-- Locks     the caller holds the graph lock.
-- Notifies  dependency_ready, step_ready
create or replace function resolver.reevaluate_readiness_along(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_resolvable boolean;
    v_buildable  boolean;
begin
    with chosen as materialized (
        select s.derivation,
               s.failed_dependency,
               d.machine_type,
               coalesce(i.input, case when not x.whole then x.upto end, c.input) as input,
               not x.whole or x.after > 0 as in_order,
               coalesce(i.failing, false) as failing,
               i.input is not null as found,
               case when i.input is not null or not x.whole or c.input is not null then 'waiting'
                    when d.must_resolve then 'resolvable'
                    else 'buildable' end as stage
          from unnest(p_ranges) x
          join resolver.derivation_state s on s.derivation = x.subject
          join resolver.derivation d on d.derivation = s.derivation
          left join lateral (
              (select dep.input, (i.stage = 'failed' or i.failed_dependency is not null) as failing
                 -- offset: makes the planner go from dependencies to inputs, whatever its estimates are.
                 from (select dep.derivation, dep.input, dep.outputs from resolver.dependency dep
                        where x.whole and x.after = 0 and dep.derivation = s.derivation offset 0) dep
                 join resolver.derivation_state i on i.derivation = dep.input
                where cardinality(dep.outputs) > (select count(*) from resolver.output o
                                                   where o.derivation = dep.input and o.name = any (dep.outputs)
                                                     and o.valid_since is not null)
                order by (i.stage = 'failed' or i.failed_dependency is not null) desc, (i.stage = 'waiting') desc,
                         hashint8(dep.input # (dep.derivation * 7919))
                limit 1)
              union all
              (select dep.input, (i.stage = 'failed' or i.failed_dependency is not null)
                 from (select dep.input, dep.outputs from resolver.dependency dep
                        where not (x.whole and x.after = 0) and dep.derivation = s.derivation and dep.input > x.after and dep.input <= x.upto
                        order by dep.input offset 0) dep
                 join resolver.derivation_state i on i.derivation = dep.input
                where cardinality(dep.outputs) > (select count(*) from resolver.output o
                                                   where o.derivation = dep.input and o.name = any (dep.outputs)
                                                     and o.valid_since is not null)
                order by dep.input
                limit 1)) i on true
          left join lateral (
              select c.input from resolver.chain c
               where c.derivation = s.derivation and c.followed + 1 < cardinality(c.outputs)
               limit 1) c on true
         where s.stage in ('unloaded', 'waiting', 'resolvable', 'buildable')
           and not (s.stage = 'unloaded' and s.lease is not null)
           and d.kind is not null
    ), watched as (
        insert into resolver.watch as w (derivation, input, in_order)
        select c.derivation, c.input, c.in_order and not c.failing from chosen c where c.input is not null
        on conflict (derivation) do update set input = excluded.input, in_order = excluded.in_order
         where (w.input, w.in_order) <> (excluded.input, excluded.in_order)
    ), unwatched as (
        delete from resolver.watch w using chosen c where w.derivation = c.derivation and c.input is null
    ), looked as (
        delete from resolver.propagation w using chosen c where w.kind = 'settle' and w.subject = c.derivation and c.found
    ), moved as (
        update resolver.derivation_state s
           set stage = c.stage, failed_dependency = case when c.failing then c.input end, machine_type = c.machine_type
          from chosen c
         where s.derivation = c.derivation
           -- The report of a load claim settles its derivation. The check is here, since load may have just claimed it, without the lock.
           and (s.stage <> 'unloaded' or s.lease is null)
           and (s.stage, s.failed_dependency) is distinct from (c.stage, case when c.failing then c.input end)
        returning s.derivation, s.stage, s.failed_dependency, s.owner, c.failed_dependency as old_failed_dependency
    ), told as (
        insert into resolver.propagation as w (kind, subject)
        select case when m.failed_dependency is not null then 'fail' else 'clear' end, m.derivation
          from moved m
         where coalesce(m.failed_dependency, m.old_failed_dependency) is not null
        on conflict (kind, subject) do update set after = 0 where w.after > 0
    )
    select bool_or(m.stage = 'resolvable'), bool_or(m.stage = 'buildable') into v_resolvable, v_buildable
      from moved m
     where m.owner is not null;

    if v_resolvable then
        perform pg_notify('dependency_ready', '');
    end if;
    if v_buildable then
        perform pg_notify('step_ready', '');
    end if;
end
$$;

comment on function resolver.reevaluate_readiness_along(resolver.edge_range[]) is 'reevaluate_readiness() for a part of the inputs of derivations.';
