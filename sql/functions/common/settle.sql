-- settle(derivations): each looks for an input that is not satisfied, and watches it; one that has none is ready.
--
-- Stages    unloaded, waiting, resolvable, buildable -> waiting, resolvable, buildable
-- Locks     the caller holds the graph lock.
-- Notifies  dependency_ready, step_ready
--
-- Whose failed dependency is not one any more tells its own dependents, by a walk.
-- Which input is watched decides how often this has to be done: failed ones first, since they end the search; then
-- those that wait themselves, since they will take longest; else spread, so that one input's end wakes few.
create or replace function resolver.settle(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_resolvable boolean;
    v_buildable  boolean;
begin
    if cardinality(p_derivations) = 0 then
        return;
    end if;
    with chosen as materialized (
        select s.derivation,
               s.failed_dependency,
               d.machine_type,
               i.input,
               i.failing,
               case when i.input is not null then 'waiting'
                    when d.must_resolve then 'resolvable'
                    else 'buildable' end as stage
          from resolver.derivation_state s
          join resolver.derivation d on d.derivation = s.derivation
          left join lateral (
              select dep.input, (i.stage = 'failed' or i.failed_dependency is not null) as failing
                from resolver.dependency dep
                join resolver.derivation_state i on i.derivation = dep.input
               where dep.derivation = s.derivation
                 and cardinality(dep.outputs) > (select count(*) from resolver.output o
                                                  where o.derivation = dep.input and o.name = any (dep.outputs)
                                                    and o.valid_since is not null)
               order by (i.stage = 'failed' or i.failed_dependency is not null) desc, (i.stage = 'waiting') desc,
                        hashint8(dep.input # (dep.derivation * 7919))
               limit 1) i on true
         where s.derivation = any (p_derivations)
           and s.stage in ('unloaded', 'waiting', 'resolvable', 'buildable')
           and not (s.stage = 'unloaded' and s.lease is not null)
           and d.kind is not null
    ), watched as (
        insert into resolver.watch as w (derivation, input)
        select c.derivation, c.input from chosen c where c.input is not null
        on conflict (derivation) do update set input = excluded.input where w.input <> excluded.input
    ), unwatched as (
        delete from resolver.watch w using chosen c where w.derivation = c.derivation and c.input is null
    ), moved as (
        update resolver.derivation_state s
           set stage = c.stage, failed_dependency = case when c.failing then c.input end, machine_type = c.machine_type
          from chosen c
         where s.derivation = c.derivation
           -- What load has claimed is settled by its report. Here, since it may have claimed it just now, without the lock.
           and (s.stage <> 'unloaded' or s.lease is null)
           and (s.stage, s.failed_dependency) is distinct from (c.stage, case when c.failing then c.input end)
        returning s.derivation, s.stage, s.failed_dependency, s.owner
    ), reach as (
        insert into resolver.walk (kind, derivation)
        select 'fail', m.derivation from moved m where m.failed_dependency is not null
        on conflict do nothing
    ), forgotten as (
        insert into resolver.walk (kind, derivation)
        select 'clear', m.derivation
          from moved m join chosen c on c.derivation = m.derivation
         where m.failed_dependency is null and c.failed_dependency is not null
        on conflict do nothing
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

comment on function resolver.settle(bigint[]) is
    'Derivations watch their next unsatisfied input, or become resolvable or buildable when there is none.';
