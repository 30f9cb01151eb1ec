-- propagate_demand_along(stretches): inputs that derivations still need become wanted for the same build, with the same priority and time limits.
--
-- Stages    realised -> unloaded, for an input that has a newly wanted output that is not valid
-- Notifies  derivation_wanted, dependency_ready, step_ready
-- Locks     the caller holds the graph lock. Inputs that changed go on the work list, and derivations that are as high as an input
--           too: see propagate_height().
create or replace function resolver.propagate_demand_along(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_changed bigint[];
    v_stages  text[];
begin
    if cardinality(p_ranges) = 0 then
        return;
    end if;
    perform resolver.mark_wanted_outputs(p_ranges);

    with wish as (
        select distinct on (w.derivation) w.derivation, w.owner, w.jobset, w.global_priority, w.priority,
               least(w.height, 10000) as height
          from (select dep.input as derivation, s.owner, s.jobset, s.global_priority, s.priority, s.height + 1 as height
                  from unnest(p_ranges) x
                  join resolver.derivation_state s on s.derivation = x.subject
                  join resolver.dependency dep on dep.derivation = s.derivation and dep.input > x.after and dep.input <= x.upto
                 where s.stage in ('unloaded', 'waiting') and s.owner is not null
                union all
                select s.resolved_to, s.owner, s.jobset, s.global_priority, s.priority, s.height
                  from unnest(p_ranges) x
                  join resolver.derivation_state s on s.derivation = x.subject
                 where s.stage = 'resolved' and s.owner is not null) w
         order by w.derivation, w.global_priority desc, w.priority desc, w.owner
    ), changed as (
        update resolver.derivation_state i
           set owner = w.owner, jobset = w.jobset, global_priority = w.global_priority, priority = w.priority,
               height = case when i.owner is null or i.stage = 'realised' then w.height else greatest(i.height, w.height) end,
               stage = case when i.stage = 'realised' then 'unloaded' else i.stage end,
               resolved_to = case when i.stage <> 'realised' then i.resolved_to end
          from wish w
         where i.derivation = w.derivation
           and (i.stage <> 'realised' or exists (select from resolver.output o where o.derivation = i.derivation
                                                    and o.is_wanted and o.valid_since is null))
           and (i.owner is null or (w.global_priority, w.priority) > (i.global_priority, i.priority)
                or i.stage = 'realised'
                or (select g.ended_at is null from resolver.goal g where g.build = i.owner) is not true)
        returning i.derivation, i.stage
    )
    select array_agg(c.derivation), array_agg(distinct c.stage) into v_changed, v_stages from changed c;

    insert into resolver.propagation as w (kind, subject)
    select 'want', c from unnest(v_changed || resolver.propagate_time_limits(p_ranges)) c
    union
    select 'raise', s.derivation
      from unnest(p_ranges) x
      join resolver.derivation_state s on s.derivation = x.subject
     where s.owner is not null
       and (s.stage in ('unloaded', 'waiting')
            and exists (select from resolver.dependency dep join resolver.derivation_state i on i.derivation = dep.input
                         where dep.derivation = s.derivation and dep.input > x.after and dep.input <= x.upto
                           and i.height <= s.height and i.stage not in ('realised', 'failed'))
            or s.stage = 'resolved'
            and exists (select from resolver.derivation_state i where i.derivation = s.resolved_to and i.height < s.height))
    union
    -- A derivation with so many inputs that it goes through them in order has not seen an input that failed before.
    select 'fail', dep.input
      from unnest(p_ranges) x
      join resolver.derivation_state s on s.derivation = x.subject and s.stage = 'waiting' and s.failed_dependency is null
      join resolver.dependency dep on dep.derivation = s.derivation and dep.input > x.after and dep.input <= x.upto
      join resolver.derivation_state i on i.derivation = dep.input and (i.stage = 'failed' or i.failed_dependency is not null)
     where not x.whole or x.after > 0
    on conflict (kind, subject) do update set after = 0 where w.after > 0;
    perform pg_notify(n.channel, '')
       from (values ('unloaded', 'derivation_wanted'), ('resolvable', 'dependency_ready'), ('buildable', 'step_ready'))
            n (stage, channel)
      where n.stage = any (v_stages);
end
$$;

comment on function resolver.propagate_demand_along(resolver.edge_range[]) is
    'Unsatisfied inputs, and resolved derivations, of wanted derivations become wanted; stops where nothing changes.';
