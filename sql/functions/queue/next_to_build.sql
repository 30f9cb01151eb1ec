-- next_to_build(machine types, limit, without): returns the derivations to build next of these machine types, in queue order.
--
-- The order: globalPriority; the share that the jobset has used, least first; the longest chain of work that is left above it;
-- priority; the build that was added first. Each (machine type, jobset) has a queue of its own in the index state_to_build:
-- the function finds the heads of the queues, with an index lookup for each, and then reads the first queues from their beginnings.
create or replace function resolver.next_to_build(p_types integer[], p_limit integer, p_without bigint[] default '{}')
    returns bigint[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now        timestamptz := resolver.clock();
    v_types      integer[];
    v_jobsets    integer[];
    v_priorities integer[];
    v_level      record;
    v_chosen     bigint[] := array[]::bigint[];
begin
    select array_agg(t.type), array_agg(q.jobset), array_agg(q.global_priority) into v_types, v_jobsets, v_priorities
      from unnest(p_types) t (type)
     cross join lateral (
           with recursive queue as (
               (select s.jobset, s.global_priority
                  from resolver.derivation_state s
                 where s.stage = 'buildable' and s.owner > 0 and s.machine_type = t.type
                 order by s.jobset, s.global_priority desc limit 1)
               union all
               select n.jobset, n.global_priority
                 from queue q
                cross join lateral (
                      (select s.jobset, s.global_priority
                         from resolver.derivation_state s
                        where s.stage = 'buildable' and s.owner > 0 and s.machine_type = t.type
                          and s.jobset = q.jobset and s.global_priority < q.global_priority
                        order by s.global_priority desc limit 1)
                      union all
                      (select s.jobset, s.global_priority
                         from resolver.derivation_state s
                        where s.stage = 'buildable' and s.owner > 0 and s.machine_type = t.type
                          and s.jobset > q.jobset
                        order by s.jobset, s.global_priority desc limit 1)
                      order by 1 limit 1) n
           )
           select * from queue) q;

    for v_level in
        select array_agg(l.type) as types, array_agg(l.jobset) as jobsets, l.global_priority
          from unnest(v_types, v_jobsets, v_priorities) l (type, jobset, global_priority)
          left join resolver.share_used(v_jobsets) u on u.jobset = l.jobset
         group by l.global_priority, u.used
         order by l.global_priority desc, u.used
    loop
        v_chosen := v_chosen || array(
            select c.derivation
              from unnest(v_level.types, v_level.jobsets) l (type, jobset)
             cross join lateral (
                   select s.derivation, s.height, s.priority, s.owner
                     from resolver.derivation_state s
                    where s.stage = 'buildable' and s.owner > 0 and s.machine_type = l.type
                      and s.jobset = l.jobset and s.global_priority = v_level.global_priority
                      and (s.not_before is null or s.not_before <= v_now) and s.derivation <> all (p_without)
                    order by s.height desc, s.priority desc, s.owner, s.derivation
                    limit p_limit - cardinality(v_chosen)) c
             order by c.height desc, c.priority desc, c.owner, c.derivation
             limit p_limit - cardinality(v_chosen));
        exit when cardinality(v_chosen) >= p_limit;
    end loop;
    return v_chosen;
end
$$;

comment on function resolver.next_to_build(integer[], integer, bigint[]) is 'The head of the build queue, for some machine types.';
