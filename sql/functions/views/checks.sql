-- check_*: rows that break an invariant. In a sound database every one of these views is empty.

create or replace view resolver.check_watching as
    select s.derivation, s.stage, w.input
      from resolver.derivation_state s left join resolver.watch w on w.derivation = s.derivation
     where (s.stage = 'waiting') <> (w.derivation is not null);
comment on view resolver.check_watching is 'A derivation watches an input exactly while it is waiting.';

create or replace view resolver.check_watched_input as
    select w.derivation, w.input
      from resolver.watch w
      left join resolver.dependency dep on dep.derivation = w.derivation and dep.input = w.input
     where dep.derivation is null
        or cardinality(dep.outputs) <= (select count(*) from resolver.output o
                                         where o.derivation = dep.input and o.name = any (dep.outputs)
                                           and o.valid_since is not null)
           and not exists (select from resolver.propagation k
                            where k.kind in ('wake', 'chain') and k.subject = w.input or k.kind = 'settle' and k.subject = w.derivation);
comment on view resolver.check_watched_input is
    'A watched input is not satisfied, unless a propagation is on its way to the watcher: otherwise nothing would ever wake it.';

create or replace view resolver.check_ready as
    select s.derivation, s.stage, dep.input
      from resolver.derivation_state s
      join resolver.dependency dep on dep.derivation = s.derivation
     where s.stage in ('resolvable', 'resolved', 'buildable')
       and cardinality(dep.outputs) > (select count(*) from resolver.output o
                                        where o.derivation = dep.input and o.name = any (dep.outputs)
                                          and o.valid_since is not null)
       and not exists (select from resolver.propagation k where k.kind = 'lose' and k.subject = dep.input);
comment on view resolver.check_ready is
    'No derivation is ready, or resolved, before all its inputs are satisfied (unless the propagation that propagates a loss is under way).';

create or replace view resolver.check_following as
    select s.derivation, s.resolved_to, r.stage
      from resolver.derivation_state s join resolver.derivation_state r on r.derivation = s.resolved_to
     where s.stage = 'resolved' and r.stage in ('realised', 'failed')
       and not exists (select from resolver.propagation k where k.kind = 'follow' and k.subject = s.resolved_to);
comment on view resolver.check_following is
    'No derivation waits for a resolved derivation that has ended (unless the propagation that ends it is under way).';

create or replace view resolver.check_owner as
    select s.derivation, s.stage, s.owner
      from resolver.derivation_state s
     where s.owner is not null and s.stage not in ('realised', 'failed')
       and (select g.ended_at is null from resolver.goal g where g.build = s.owner) is not true
       and not exists (select from resolver.propagation k where k.kind = 'disown' and k.subject = s.owner);
comment on view resolver.check_owner is
    'An unfinished derivation is owned by an unfinished build, or by none (unless the build is giving up its derivations).';

create or replace view resolver.check_chain as
    with recursive link as (
        select c.derivation, c.root, c.outputs, 1 as link, c.root as input
          from resolver.chain c
          join resolver.derivation_state s
            on s.derivation = c.derivation and s.stage in ('waiting', 'resolvable', 'resolved')
        union all
        select l.derivation, l.root, l.outputs, l.link + 1, made.derivation
          from link l
          join resolver.output o on o.derivation = l.input and o.name = l.outputs[l.link] and o.valid_since is not null
          join resolver.derivation made on made.drv = o.path
         where l.link < cardinality(l.outputs)
    ), last as (
        select distinct on (l.derivation, l.root, l.outputs) l.* from link l order by l.derivation, l.root, l.outputs, l.link desc
    )
    select l.derivation, l.root, l.outputs, c.input, l.input as leads_to
      from last l
      join resolver.chain c on c.derivation = l.derivation and c.root = l.root and c.outputs = l.outputs
      join resolver.derivation_state s on s.derivation = l.derivation
     where (c.followed + 1, c.input) <> (l.link, l.input)
        or l.link < cardinality(l.outputs) and s.stage <> 'waiting'
    union all
    select l.derivation, l.root, l.outputs, l.input, l.input
      from link l
      left join resolver.dependency dep on dep.derivation = l.derivation and dep.input = l.input
     where l.outputs[l.link] = any (dep.outputs) is not true;
comment on view resolver.check_chain is
    'Chains are followed as far as they lead, every link is a dependency, and no derivation is ready before its chains end.';

create or replace view resolver.check_realised as
    select s.derivation, o.name
      from resolver.derivation_state s join resolver.output o on o.derivation = s.derivation
     where s.stage = 'realised' and o.is_wanted and o.valid_since is null;
comment on view resolver.check_realised is 'All wanted outputs of a realised derivation are valid.';

create or replace view resolver.check_wanted as
    select s.derivation, s.resolved_to, o.name
      from resolver.derivation_state s
      join resolver.output o on o.derivation = s.derivation and o.is_wanted
      join resolver.output x on x.derivation = s.resolved_to and x.name = o.name and not x.is_wanted
     where s.stage = 'resolved';
comment on view resolver.check_wanted is
    'Outputs that are wanted of a derivation are wanted of its resolved derivation, which might end without them otherwise.';

create or replace view resolver.check_lease as
    select s.derivation, s.stage, s.lease as state_lease, l.lease
      from resolver.derivation_state s
      full join (select * from resolver.lease where closed_at is null) l on l.lease = s.lease
     where (s.lease is not null or l.lease is not null)
       and (s.derivation is distinct from l.derivation
            or l.verb <> case s.stage when 'unloaded' then 'load' when 'resolvable' then 'resolve' when 'building' then 'build' end);
comment on view resolver.check_lease is 'Open leases and leased derivations match, and the verb fits the stage.';

create or replace view resolver.check_busy as
    select coalesce(l.build, b.build) as build, coalesce(l.stepnr, b.stepnr) as stepnr, l.lease, b.busy
      from (select * from resolver.lease where closed_at is null and verb = 'build') l
      full join (select * from public.BuildSteps where busy <> 0) b on b.build = l.build and b.stepnr = l.stepnr
     where l.lease is null or b.build is null and exists (select from public.Builds x where x.id = l.build);
comment on view resolver.check_busy is
    'A step is busy exactly while there is an open lease to build it (unless its build was deleted meanwhile).';

create or replace view resolver.check_resolution as
    select s.derivation, s.resolved_to, r.resolved
      from resolver.derivation_state s
      full join (select * from resolver.resolution where released_at is null) r on r.derivation = s.derivation
     where s.resolved_to is not null and s.resolved_to is distinct from r.resolved;
comment on view resolver.check_resolution is 'A derivation follows the resolved derivation of its resolution in force.';

create or replace view resolver.check_sampled_path as
    select r.derivation, i.input, i.output, i.path, o.path as in_force
      from resolver.resolution r
      join resolver.derivation_state s on s.derivation = r.derivation and s.stage = 'resolved'
     cross join unnest(r.inputs, r.outputs, r.paths) i (input, output, path)
      left join resolver.output o on o.derivation = i.input and o.name = i.output and o.valid_since is not null
     where r.released_at is null and o.path is distinct from i.path
       and not exists (select from resolver.propagation k where k.kind = 'lose' and k.subject = i.input);
comment on view resolver.check_sampled_path is
    'If a derivation waits for its resolved derivation, the resolution was made from paths in force.';

create or replace view resolver.check_one_path as
    select r.resolution, i.input, i.output
      from resolver.resolution r cross join unnest(r.inputs, r.outputs, r.paths) i (input, output, path)
     where r.released_at is null
     group by r.resolution, i.input, i.output
    having count(distinct i.path) > 1;
comment on view resolver.check_one_path is 'Within one resolution no output has two paths.';

create or replace view resolver.check_failed_dependency as
    select s.derivation, s.failed_dependency
      from resolver.derivation_state s
      join resolver.derivation_state i on i.derivation = s.failed_dependency
     where i.stage <> 'failed' and i.failed_dependency is null
       and not exists (select from resolver.propagation w where w.kind <> 'raise');
comment on view resolver.check_failed_dependency is
    'A failed dependency has failed, or has a failed dependency itself (unless a propagation is under way).';

create or replace view resolver.check_references as
    select r.relation, r.derivation
      from (select 'derivation_state' as relation, unnest(array[s.resolved_to, s.failed_dependency]) as derivation
              from resolver.derivation_state s
            union all select 'watch', unnest(array[w.derivation, w.input]) from resolver.watch w
            union all select 'output', o.derivation from resolver.output o
            union all select 'dependency', unnest(array[d.derivation, d.input]) from resolver.dependency d
            union all select 'chain', unnest(array[c.derivation, c.root, c.input]) from resolver.chain c
            union all select 'realisation', r.derivation from resolver.realisation r
            union all select 'resolution', unnest(array[r.derivation, r.resolved]) from resolver.resolution r
            union all select 'walk', w.subject from resolver.propagation w where w.kind <> 'disown') r
     where r.derivation is not null
       and not exists (select from resolver.derivation_state s where s.derivation = r.derivation);
comment on view resolver.check_references is
    'Every derivation that a table refers to exists, except in the past: closed leases, and inputs of resolutions.';

create or replace view resolver.check_goal as
    select g.build, g.root, s.stage
      from resolver.goal g join resolver.derivation_state s on s.derivation = g.root
     where g.ended_at is null and not exists (select from resolver.propagation w where w.kind <> 'raise')
       and (s.stage in ('realised', 'failed') or s.failed_dependency is not null);
comment on view resolver.check_goal is 'A goal has ended as soon as its root is realised, failed, or has a failed dependency.';
