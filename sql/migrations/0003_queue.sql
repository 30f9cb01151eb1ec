-- The order in which derivations are built, and what each worker takes.

create table resolver.machine_type (
    machine_type      integer generated always as identity primary key,
    system            text not null,
    features          text[] not null,
    prefer_local      boolean not null,
    floating          boolean not null,
    unsupported_since timestamptz,
    constraint machine_type_unique unique (system, features, prefer_local, floating)
);
comment on table resolver.machine_type is
    'What derivations ask of a machine: some ten rows. Each has a queue of its own for every jobset.';
comment on column resolver.machine_type.features is 'System features that a builder must have, sorted.';
comment on column resolver.machine_type.prefer_local is 'For derivations that say preferLocalBuild.';
comment on column resolver.machine_type.floating is
    'For derivations whose output paths are not known before: Nix sends them only to builders with the feature ca-derivations.';
comment on column resolver.machine_type.unsupported_since is
    'Since when something waits to be built that no live worker takes; null: nothing does. See fail_unsupported().';

alter table resolver.derivation add machine_type integer;
comment on column resolver.derivation.machine_type is 'What it asks of a machine: system, features, prefer_local and floating in one number.';
insert into resolver.machine_type (system, features, prefer_local, floating)
select distinct d.system, array(select distinct f from unnest(d.features) f order by f), d.prefer_local, d.kind = 'floating'
  from resolver.derivation d where d.kind is not null;
update resolver.derivation d set machine_type = m.machine_type
  from resolver.machine_type m
 where m.system = d.system and m.prefer_local = d.prefer_local and m.floating = (d.kind = 'floating')
   and m.features = array(select distinct f from unnest(d.features) f order by f);

alter table resolver.goal add jobset integer;
comment on column resolver.goal.jobset is 'Jobset of the build.';
update resolver.goal g set jobset = (select b.jobset_id from public.Builds b where b.id = g.build);

alter table resolver.derivation_state
    add machine_type integer,
    add jobset integer,
    add height smallint not null default 0;
comment on column resolver.derivation_state.machine_type is 'That of the derivation, since it was settled first: part of the queue it is in.';
comment on column resolver.derivation_state.jobset is 'That of the owner: the other part.';
comment on column resolver.derivation_state.height is
    'Length of the longest chain of wanted dependents above it, as far as is known: what is left after it has been built.';
update resolver.derivation_state s set machine_type = d.machine_type from resolver.derivation d where d.derivation = s.derivation;
update resolver.derivation_state s set jobset = coalesce((select g.jobset from resolver.goal g where g.build = s.owner), 0)
 where s.owner is not null;
alter table resolver.derivation_state add constraint state_wanted_has_jobset check (owner is null or jobset is not null);

drop index resolver.state_to_build;
create index state_to_build on resolver.derivation_state
    (machine_type, jobset, global_priority desc, height desc, priority desc, owner, derivation)
    where stage = 'buildable' and owner is not null;

alter table resolver.walk drop constraint walk_kind_known;
alter table resolver.walk add constraint walk_kind_known check (kind in ('want', 'fail', 'clear', 'raise'));
comment on column resolver.walk.kind is
    'want: its inputs become wanted; fail: its dependents learn that it failed; clear: they learn that it was restarted;
raise: its inputs learn its height.';

insert into resolver.transition values ('buildable', 'failed', 'record_failure');

create table resolver.jobset_use (
    hour    timestamptz not null,
    jobset  integer not null,
    seconds double precision not null,
    constraint jobset_use_key primary key (hour, jobset)
);
comment on table resolver.jobset_use is 'Seconds of building on account of each jobset, by the hour in which steps ended. Kept for a day.';

alter table resolver.lease add started timestamptz;
update resolver.lease set started = opened where closed is null and verb = 'build';
comment on column resolver.lease.started is 'When a machine began to build it: only this is charged to the jobset.';

create type resolver.builder as (
    machine   text,
    systems   text[],
    features  text[],
    mandatory text[]
);
comment on type resolver.builder is
    'A machine that Nix can build on: its name, its systems, the features it has, and those a derivation must ask for to be sent there.';

alter table resolver.worker
    add jobs integer,
    add builders resolver.builder[] not null default '{}',
    add feature_limits jsonb not null default '{}',
    add only_kind text,
    add constraint worker_only_kind_known check (only_kind in ('local', 'prefer-local'));
comment on column resolver.worker.systems is 'Systems that its own machine builds for, and features what that has; see builders for others.';
comment on column resolver.worker.jobs is 'How many builds it does at the same time; null: it did not say.';
comment on column resolver.worker.builders is 'Remote builders that its Nix sends derivations to.';
comment on column resolver.worker.feature_limits is 'How many derivations that require a feature it builds at the same time: {feature: number}.';
comment on column resolver.worker.only_kind is
    'local: it takes what its own machine can build; prefer-local: of that only what says preferLocalBuild; null: all.';

alter table resolver.setting
    add max_unsupported_time interval default '1 day',
    add max_tries integer not null default 5,
    add retry_delay interval not null default '60 seconds',
    add constraint setting_max_unsupported_time_not_negative check (max_unsupported_time >= interval '0'),
    add constraint setting_max_tries_positive check (max_tries > 0),
    add constraint setting_retry_delay_not_negative check (retry_delay >= interval '0');
comment on column resolver.setting.max_tries is 'After so many attempts a transient failure counts.';
comment on column resolver.setting.retry_delay is 'How long after the first attempt the second is made; three times as long after each further one.';
comment on column resolver.setting.max_unsupported_time is
    'How long something may wait that no live worker takes, before it fails as unsupported; null: for ever.';
