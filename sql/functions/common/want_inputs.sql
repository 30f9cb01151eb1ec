-- want_inputs(derivations): what they still need is wanted on behalf of the same build, as urgently as they are, and may take
-- as long.
--
-- Stages    realised -> unloaded, for an input that has a newly wanted output that is not valid
-- Notifies  derivation_wanted, dependency_ready, step_ready
-- Locks     the caller holds the graph lock. The inputs for which something changed go on the work list; so do those of these
--           derivations that are above a longer chain than was known: see raise_inputs().
create or replace function resolver.want_inputs(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_changed bigint[];
    v_stages  text[];
begin
    if cardinality(p_derivations) = 0 then
        return;
    end if;
    perform resolver.want_outputs(p_derivations);

    with wish as (
        select distinct on (w.derivation) w.derivation, w.owner, w.jobset, w.global_priority, w.priority,
               least(w.height, 10000) as height
          from (select dep.input as derivation, s.owner, s.jobset, s.global_priority, s.priority, s.height + 1 as height
                  from resolver.derivation_state s
                  join resolver.dependency dep on dep.derivation = s.derivation
                 where s.derivation = any (p_derivations) and s.stage in ('unloaded', 'waiting') and s.owner is not null
                union all
                select s.resolved_to, s.owner, s.jobset, s.global_priority, s.priority, s.height
                  from resolver.derivation_state s
                 where s.derivation = any (p_derivations) and s.stage = 'resolved' and s.owner is not null) w
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
                                                    and o.wanted and o.valid_since is null))
           and (i.owner is null or (w.global_priority, w.priority) > (i.global_priority, i.priority)
                or i.stage = 'realised'
                or not exists (select from resolver.goal g where g.build = i.owner and g.ended is null))
        returning i.derivation, i.stage
    )
    select array_agg(c.derivation), array_agg(distinct c.stage) into v_changed, v_stages from changed c;

    with longer as (
        update resolver.derivation_state i
           set max_silent = greatest(i.max_silent, w.max_silent), timeout = greatest(i.timeout, w.timeout)
          from (select x.derivation, max(s.max_silent) as max_silent, max(s.timeout) as timeout
                  from resolver.derivation_state s
                 cross join lateral (
                       select dep.input as derivation from resolver.dependency dep
                        where dep.derivation = s.derivation and s.stage in ('unloaded', 'waiting')
                       union all
                       select s.resolved_to where s.stage = 'resolved') x
                 where s.derivation = any (p_derivations) and s.owner is not null and coalesce(s.max_silent, s.timeout) is not null
                 group by x.derivation) w
         where i.derivation = w.derivation and i.stage not in ('realised', 'failed')
           and (w.max_silent > coalesce(i.max_silent, 0) or w.timeout > coalesce(i.timeout, 0))
        returning i.derivation
    )
    insert into resolver.walk (kind, derivation)
    select 'want', l.derivation from longer l
    union all
    select 'raise', s.derivation
      from resolver.derivation_state s
     where s.derivation = any (p_derivations) and s.owner is not null
       and (s.stage in ('unloaded', 'waiting')
            and exists (select from resolver.dependency dep join resolver.derivation_state i on i.derivation = dep.input
                         where dep.derivation = s.derivation and i.height <= s.height and i.stage not in ('realised', 'failed'))
            or s.stage = 'resolved'
            and exists (select from resolver.derivation_state i where i.derivation = s.resolved_to and i.height < s.height))
    on conflict do nothing;
    if v_changed is not null then
        insert into resolver.walk (kind, derivation) select 'want', x from unnest(v_changed) x on conflict do nothing;
        perform pg_notify(n.channel, '')
           from (values ('unloaded', 'derivation_wanted'), ('resolvable', 'dependency_ready'), ('buildable', 'step_ready'))
                n (stage, channel)
          where n.stage = any (v_stages);
    end if;
end
$$;

comment on function resolver.want_inputs(bigint[]) is
    'Unsatisfied inputs and resolutions of wanted derivations become wanted; stops where nothing changes.';
