-- record_steps(steps): writes new rows of BuildSteps with their BuildStepOutputs, each on the account of its build.
--
-- Returns   (nr, build, stepnr): nr is the place in steps. A build that was deleted, or is being deleted, gets no row.
--           The row of a step that ran in another build has no times.
-- Locks     rows of Builds in the order of ids, KEY SHARE SKIP LOCKED; the caller holds the graph lock.
create or replace function resolver.record_steps(p_steps resolver.new_step[])
    returns table (nr bigint, build integer, stepnr integer)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now       integer := resolver.hydra_time(resolver.clock());
    v_directory text := resolver.hydra_path('');
    v_builds    integer[];
begin
    if cardinality(p_steps) = 0 then
        return;
    end if;
    v_builds := array(select b.id from public.Builds b
                       where b.id = any (array(select s.build from unnest(p_steps) s
                                               union select s.propagated_from from unnest(p_steps) s))
                       order by b.id for key share skip locked);
    return query
    with numbered as materialized (
        select s.*, m.last + (row_number() over (partition by s.build order by s.nr))::integer as stepnr
          from unnest(p_steps) with ordinality
               s (build, derivation, type, busy, status, message, propagated_from, resolved, nr)
         cross join lateral (select coalesce(max(x.stepnr), 0) as last from public.BuildSteps x where x.build = s.build) m
         where s.build = any (v_builds)
    ), rows as (
        insert into public.BuildSteps (build, stepnr, type, drvPath, busy, status, errorMsg, startTime, stopTime, machine,
                                       system, propagatedFrom, resolvedDrvPath)
        select n.build, n.stepnr, n.type, v_directory || d.drv, n.busy, n.status, n.message,
               case when n.propagated_from is null then v_now end, case when n.busy = 0 and n.propagated_from is null then v_now end,
               case when n.busy = 30 then 'localhost' else '' end, d.system,
               case when n.propagated_from = any (v_builds) then n.propagated_from end, n.resolved
          from numbered n join resolver.derivation d on d.derivation = n.derivation
    ), outputs as (
        insert into public.BuildStepOutputs (build, stepnr, name, path)
        select n.build, n.stepnr, o.name, case when n.type = 0 or o.valid_since is not null then v_directory || o.path end
          from numbered n join resolver.output o on o.derivation = n.derivation
         where n.resolved is null
    )
    select n.nr, n.build, n.stepnr from numbered n order by n.nr;
end
$$;

comment on function resolver.record_steps(resolver.new_step[]) is 'Writes new rows of BuildSteps; returns their numbers.';
