-- Every hold of the graph lock is bounded, whatever the graph: what is long goes on in later transactions.

-- Walks go along edges, and remember how far they came.
alter table resolver.walk rename column derivation to subject;
alter table resolver.walk add column after bigint not null default 0;
alter table resolver.walk drop constraint walk_kind_known;
update resolver.walk set kind = 'want' where kind = 'disown';
alter table resolver.walk add constraint walk_kind_known check (kind in
    ('clear', 'lose', 'chain', 'wake', 'follow', 'missing', 'fail', 'settle', 'seek', 'want', 'disown', 'raise'));
drop index resolver.walk_derivation;
create index walk_subject on resolver.walk (subject);
comment on column resolver.walk.subject is 'The derivation that it starts from; for disown, a build.';
comment on column resolver.walk.after is 'The neighbours up to this number have been reached.';
comment on column resolver.walk.kind is
    'clear: dependents learn that it was restarted; lose: dependents learn that an output is gone; chain: chains that wait for its
outputs go on; wake: watchers look for their next input; follow: what was resolved to it ends with it; missing: dependents that name
an output that it does not have fail; fail: dependents learn that it failed; settle: it looks through its inputs; seek: it looks for
an owner among its dependents; want: its inputs become wanted; disown: what the build owned looks for another owner; raise: its
inputs learn its height.';

create type resolver.stretch as (
    subject    bigint,
    after      bigint,
    upto       bigint,
    neighbours integer,
    whole      boolean
);
comment on type resolver.stretch is
    'A part of the neighbours of a derivation: so many, with numbers greater than after, up to upto; whole: no others are left.';

alter table resolver.watch add column in_order boolean not null default false;
comment on column resolver.watch.in_order is 'All inputs with lower numbers are satisfied: a derivation with very many inputs looks through them in their order.';
create type resolver.answer as (
    lease   bigint,
    outcome text,
    detail  text
);
comment on type resolver.answer is 'What became of one element of a report.';

-- While a table is empty, the planner takes any partial index whose condition follows from the query's for the quickest way, reads all of
-- it later, and keeps that plan until the table is analyzed. So these have conditions that only the queries state which they are for
-- (`owner > 0`), and the order within them is an expression.
drop index resolver.watch_input;
create index watch_input on resolver.watch (input, (derivation + 0));
drop index resolver.dependency_input;
create index dependency_input on resolver.dependency (input, (derivation + 0));
drop index resolver.chain_input;
create index chain_input on resolver.chain (input, (derivation + 0));
drop index resolver.state_followers;
create index state_followers on resolver.derivation_state (resolved_to, (derivation + 0)) where stage = 'resolved' and resolved_to > 0;
create index state_resolved_to on resolver.derivation_state (resolved_to) where resolved_to > 0;
drop index resolver.state_failed_dependency;
create index state_failed_dependency on resolver.derivation_state (failed_dependency, (derivation + 0)) where failed_dependency > 0;
drop index resolver.state_to_load;
create index state_to_load on resolver.derivation_state (global_priority desc, priority desc, derivation)
    where stage = 'unloaded' and lease is null and owner > 0;
drop index resolver.state_to_resolve;
create index state_to_resolve on resolver.derivation_state (global_priority desc, priority desc, derivation)
    where stage = 'resolvable' and lease is null and owner > 0;
drop index resolver.state_to_build;
create index state_to_build on resolver.derivation_state
    (machine_type, jobset, global_priority desc, height desc, priority desc, owner, derivation)
    where stage = 'buildable' and owner > 0;
create index state_owner on resolver.derivation_state (owner, (derivation + 0))
    where owner > 0 and stage not in ('realised', 'failed');
drop index resolver.goal_open;
create index goal_open on resolver.goal (build) where ended is null and build > 0;
create index goal_open_root on resolver.goal (root, (build + 0)) where ended is null and root > 0;
drop index resolver.output_path;
create index output_path on resolver.output (path);
drop index resolver.realisation_path;
create index realisation_path on resolver.realisation (path) where ceased is null and path > '';
drop index resolver.realisation_valid;
create unique index realisation_valid on resolver.realisation (derivation, output, path) where ceased is null and derivation > 0;
drop index resolver.resolution_in_force;
create unique index resolution_in_force on resolver.resolution (derivation) where released is null and derivation > 0;
drop index resolver.failure_in_force;
create unique index failure_in_force on resolver.failure (derivation) where cleared is null and derivation > 0;
drop index resolver.resolution_build;
create index resolution_build on resolver.resolution (build);

-- What is unfinished is owned by an unfinished build, or by none.
insert into resolver.walk (kind, subject)
select distinct 'disown', s.owner
  from resolver.derivation_state s
 where s.owner is not null and s.stage not in ('realised', 'failed')
   and not exists (select from resolver.goal g where g.build = s.owner and g.ended is null)
on conflict do nothing;

create table resolver.lost_path (
    path text primary key,
    lost timestamptz not null
);
comment on table resolver.lost_path is 'Store paths that are gone: outputs that have them cease to be valid, a bounded number at a time.';
comment on column resolver.lost_path.lost is 'What was recorded as valid later than this was made again.';

create table resolver.build_wish (
    build integer primary key,
    retry boolean
);
comment on table resolver.build_wish is 'Unfinished builds that are to become goals: a bounded number at a time.';
comment on column resolver.build_wish.retry is
    'Whether known failures are tried again, or end it: enqueue() was told so; null: as for what Hydra''s evaluator adds.';

create table resolver.interrupted_step (
    build  integer not null,
    stepnr integer not null,
    drv    text not null,
    constraint interrupted_step_key primary key (build, stepnr)
);
create index interrupted_step_drv on resolver.interrupted_step (drv);
comment on table resolver.interrupted_step is
    'Rows of BuildSteps whose attempts were taken back without a report: the next attempt for the same build takes that row.';
insert into resolver.interrupted_step (build, stepnr, drv)
select l.build, l.stepnr, d.drv
  from resolver.derivation_state s
  join resolver.lease l on l.lease = s.taken_back
  join resolver.derivation d on d.derivation = s.derivation
on conflict do nothing;
alter table resolver.derivation_state drop column taken_back;
comment on column resolver.derivation_state.tries is 'Attempts that ended in a transient failure or were cut short, in a row.';
comment on column resolver.derivation_state.not_before is 'No claim before this time: back-off after a transient failure.';

create table resolver.build_scan (
    only_row  boolean primary key default true,
    complete  integer,
    seen      integer not null default 0,
    seen_xact xid8 not null default '0',
    position  integer,
    again     boolean not null default false,
    began     timestamptz not null default '-infinity',
    constraint build_scan_is_one check (only_row)
);
insert into resolver.build_scan default values;
comment on table resolver.build_scan is 'How far Hydra''s Builds have been looked through: see changed_builds(). One row.';
comment on column resolver.build_scan.complete is 'Builds up to this number are all committed, and were seen; null: none was looked at yet.';
comment on column resolver.build_scan.seen is 'The highest number that was seen when seen_xact was the next transaction to begin.';
comment on column resolver.build_scan.position is 'How far the pass over all open goals came; null: none is under way.';
comment on column resolver.build_scan.again is 'Something was changed since it began: another one is to follow.';
comment on column resolver.build_scan.began is 'When that pass, or the last one, began.';

create index state_paused on resolver.derivation_state (not_before) where not_before is not null;

delete from resolver.transition where from_stage = 'resolved' and to_stage = 'failed';
delete from resolver.transition where procedure = 'lose_outputs';
update resolver.transition set procedure = 'serve' where procedure = 'realise';
update resolver.transition set procedure = 'apply_failed' where procedure = 'fail_steps';
update resolver.transition set procedure = 'settle_stretches' where procedure = 'settle';
update resolver.transition set procedure = 'want_stretches' where procedure = 'want_inputs';
insert into resolver.transition values
    ('unloaded', 'waiting', 'settle'),
    ('resolvable', 'waiting', 'settle'),
    ('buildable', 'waiting', 'settle'),
    ('resolved', 'failed', 'end_followers'),
    ('realised', 'unloaded', 'lose_paths'),
    ('resolvable', 'waiting', 'lose_inputs'),
    ('buildable', 'waiting', 'lose_inputs'),
    ('resolved', 'waiting', 'lose_inputs'),
    ('resolved', 'waiting', 'lose_resolved');
