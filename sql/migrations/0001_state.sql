-- Tables of the resolver. Applied once, never edited after a release: later changes are later files.
--
-- Facts about derivations (derivation, output, dependency) are apart from where they stand (derivation_state, watch)
-- and from what happened (realisation, resolution, failure, lease). Store paths are base names, `hash-name`.
-- Tables with a row for each edge, claim or event refer to derivations without foreign keys: their checks, and the row locks
-- these take, were a tenth of all the server's work. See resolver.check_references.

comment on schema resolver is
    'Resolution of content-addressed derivations: the build graph of Hydra, kept beside Hydra''s own tables.';

create table resolver.store (
    only_row  boolean primary key default true,
    directory text not null,
    identity  text not null,
    constraint store_is_one check (only_row)
);
comment on table resolver.store is 'The one Nix store that this database speaks about.';
comment on column resolver.store.directory is 'Store directory, such as /nix/store; part of every path that Hydra''s tables hold.';
comment on column resolver.store.identity is 'Tells this store from another one with the same directory.';

create table resolver.writer (
    only_row boolean primary key default true,
    constraint writer_is_one check (only_row)
);
insert into resolver.writer default values;
comment on table resolver.writer is 'Its one row is the graph lock: see lock_graph().';

create table resolver.setting (
    only_row   boolean primary key default true,
    lease_time interval not null default '60 seconds',
    constraint setting_is_one check (only_row),
    constraint setting_lease_time_positive check (lease_time > interval '0')
);
insert into resolver.setting default values;
comment on table resolver.setting is 'What the operator may change, for all workers of this database: one row.';
comment on column resolver.setting.lease_time is
    'How long a worker may be silent before its claims are taken back. Workers learn of a change when they start.';

create table resolver.derivation (
    derivation   bigint generated always as identity primary key,
    drv          text not null,
    name         text,
    system       text,
    kind         text,
    features     text[] not null default '{}',
    prefer_local boolean not null default false,
    must_resolve boolean not null default false,
    constraint derivation_drv_unique unique (drv),
    constraint derivation_drv_is_base_name check (drv ~ '^[0-9a-z]{32}-[^/]+\.drv$'),
    constraint derivation_kind_known check (kind in ('input-addressed', 'fixed', 'floating', 'deferred')),
    constraint derivation_loaded_whole check ((name is null) = (kind is null) and (system is null) = (kind is null))
);
create index derivation_name on resolver.derivation (name) where must_resolve;
comment on table resolver.derivation is 'A derivation and what its .drv says; the latter is null until it was loaded.';
comment on column resolver.derivation.drv is 'Base name of the .drv file in the store.';
comment on column resolver.derivation.must_resolve is 'It has derivation inputs that have to be replaced by paths before Nix may build it.';
comment on column resolver.derivation.features is 'System features that a builder must have (requiredSystemFeatures).';
comment on column resolver.derivation.prefer_local is 'It says preferLocalBuild.';
comment on column resolver.derivation.kind is
    'Kind of all its outputs, in Nix''s words: input-addressed, fixed, floating, deferred. Null until loaded.';
comment on column resolver.derivation.name is 'Name of the derivation, without hash and .drv.';
comment on column resolver.derivation.system is 'The system that it is built on, such as x86_64-linux.';

create table resolver.derivation_state (
    derivation        bigint primary key references resolver.derivation,
    stage             text not null default 'unloaded',
    owner             integer,
    global_priority   integer not null default 0,
    priority          integer not null default 0,
    tries             smallint not null default 0,
    not_before        timestamptz,
    resolved_to       bigint,
    failed_dependency bigint,
    lease             bigint,
    constraint state_stage_known check (stage in
        ('unloaded', 'waiting', 'resolvable', 'resolved', 'buildable', 'building', 'realised', 'failed')),
    constraint state_resolved_to_while_resolved
        check (resolved_to is null or stage in ('resolved', 'realised')),
    constraint state_resolved_has_resolution check (stage <> 'resolved' or resolved_to is not null),
    constraint state_lease_while_claimed check (lease is null or stage in ('unloaded', 'resolvable', 'building')),
    constraint state_building_has_lease check (stage <> 'building' or lease is not null),
    constraint state_realised_has_no_failed_dependency check (stage <> 'realised' or failed_dependency is null)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
comment on table resolver.derivation_state is 'Where each derivation stands. The one table that is written at every move.';
comment on column resolver.derivation_state.stage is 'See resolver.transition for what may follow what.';
comment on column resolver.derivation_state.owner is
    'A build that wants it (a hint that the claim verifies); null: nobody wants it. No foreign key: builds come and go.';
comment on column resolver.derivation_state.global_priority is 'Highest globalPriority of a build that wanted it.';
comment on column resolver.derivation_state.priority is 'Highest priority of a build that wanted it.';
comment on column resolver.derivation_state.tries is 'Attempts that ended in a transient failure, so far.';
comment on column resolver.derivation_state.not_before is 'No attempt before this time: back-off after a transient failure.';
comment on column resolver.derivation_state.resolved_to is 'The resolution in force: it waits for that derivation and takes over its outputs.';
comment on column resolver.derivation_state.failed_dependency is
    'One direct input (or its resolution) that failed or has a failed dependency itself: a chain that leads to the cause.';
comment on column resolver.derivation_state.lease is 'The open lease, if a worker has claimed it.';

create index state_to_load on resolver.derivation_state (global_priority desc, priority desc, derivation)
    where stage = 'unloaded' and lease is null and owner is not null;
create index state_to_resolve on resolver.derivation_state (global_priority desc, priority desc, derivation)
    where stage = 'resolvable' and lease is null and owner is not null;
create index state_to_build on resolver.derivation_state (global_priority desc, priority desc, derivation)
    where stage = 'buildable' and owner is not null;
create index state_followers on resolver.derivation_state (resolved_to) where resolved_to is not null;
create index state_failed_dependency on resolver.derivation_state (failed_dependency) where failed_dependency is not null;

create table resolver.transition (
    from_stage text not null,
    to_stage   text not null,
    procedure  text not null,
    constraint transition_key primary key (from_stage, to_stage, procedure)
);
comment on table resolver.transition is 'The only list of legal moves: (from, to, function that makes it).';
insert into resolver.transition values
    ('unloaded', 'waiting', 'settle'),
    ('unloaded', 'resolvable', 'settle'),
    ('unloaded', 'buildable', 'settle'),
    ('unloaded', 'realised', 'realise'),
    ('unloaded', 'failed', 'record_failure'),
    ('waiting', 'resolvable', 'settle'),
    ('waiting', 'buildable', 'settle'),
    ('waiting', 'realised', 'realise'),
    ('waiting', 'failed', 'record_failure'),
    ('resolvable', 'resolved', 'follow'),
    ('resolvable', 'buildable', 'build_as_it_is'),
    ('resolvable', 'realised', 'realise'),
    ('resolvable', 'failed', 'record_failure'),
    ('resolvable', 'waiting', 'settle'),
    ('resolvable', 'waiting', 'lose_outputs'),
    ('resolved', 'realised', 'realise'),
    ('resolved', 'failed', 'record_failure'),
    ('resolved', 'failed', 'end_with_resolutions'),
    ('resolved', 'waiting', 'lose_outputs'),
    ('buildable', 'building', 'claim_builds'),
    ('buildable', 'realised', 'realise'),
    ('buildable', 'waiting', 'settle'),
    ('buildable', 'waiting', 'lose_outputs'),
    ('building', 'realised', 'realise'),
    ('building', 'failed', 'record_failure'),
    ('building', 'buildable', 'fail_steps'),
    ('building', 'buildable', 'take_back'),
    ('realised', 'unloaded', 'lose_outputs'),
    ('realised', 'unloaded', 'realise'),
    ('realised', 'unloaded', 'want_inputs'),
    ('realised', 'unloaded', 'open_goals'),
    ('failed', 'unloaded', 'clear_failure'),
    ('failed', 'unloaded', 'clear_dependents');

create table resolver.watch (
    derivation bigint primary key,
    input      bigint not null
) with (autovacuum_vacuum_scale_factor = 0.05);
create index watch_input on resolver.watch (input);
comment on table resolver.watch is 'A waiting derivation and the one unsatisfied input that it looks at.';
comment on column resolver.watch.input is 'When this one changes, the watcher looks for its next unsatisfied input.';

create table resolver.output (
    derivation  bigint not null,
    name        text not null,
    path        text,
    valid_since timestamptz,
    lost        timestamptz,
    wanted      boolean not null default false,
    constraint output_key primary key (derivation, name),
    constraint output_valid_has_path check (valid_since is null or path is not null),
    constraint output_valid_is_not_lost check (valid_since is null or lost is null)
) with (fillfactor = 80);
create index output_path on resolver.output (path) where path is not null;
comment on table resolver.output is 'Outputs of a derivation, with the path that is served to its dependents.';
comment on column resolver.output.path is 'Base name of the store path; null until it is known.';
comment on column resolver.output.valid_since is 'When it was recorded as valid in the store; null: not valid now.';
comment on column resolver.output.lost is 'When it was found to have gone.';
comment on column resolver.output.wanted is 'A goal or a dependent asks for it.';

create table resolver.dependency (
    derivation bigint not null,
    input      bigint not null,
    outputs    text[] not null,
    constraint dependency_key primary key (derivation, input),
    constraint dependency_is_not_circular check (derivation <> input)
);
create index dependency_input on resolver.dependency (input);
comment on table resolver.dependency is 'A derivation input: satisfied when all the outputs it names are valid.';
comment on column resolver.dependency.outputs is 'Names of the outputs that the derivation uses.';

create table resolver.realisation (
    realisation bigint generated always as identity primary key,
    derivation  bigint not null,
    output      text not null,
    path        text not null,
    source      text not null,
    build       integer,
    stepnr      integer,
    machine     text,
    seconds     real,
    time        timestamptz not null,
    ceased      timestamptz,
    constraint realisation_source_known check (source in ('built', 'local', 'substituted'))
);
create unique index realisation_valid on resolver.realisation (derivation, output, path) where ceased is null;
create index realisation_derivation on resolver.realisation (derivation);
create index realisation_path on resolver.realisation (path) where ceased is null;
comment on table resolver.realisation is 'The build trace: every path that an output was ever found to have.';
comment on column resolver.realisation.source is 'How it was learned: built by a step, found in the local store, substituted.';
comment on column resolver.realisation.build is 'Build on whose account it was built or found; a plain number that outlives the build.';
comment on column resolver.realisation.seconds is 'How long the attempt took that built it.';
comment on column resolver.realisation.ceased is 'When the path ceased to be valid; null: in force.';

create table resolver.resolution (
    resolution bigint generated always as identity primary key,
    derivation bigint not null,
    resolved   bigint not null,
    inputs     bigint[] not null,
    outputs    text[] not null,
    paths      text[] not null,
    build      integer,
    stepnr     integer,
    cut_off    boolean not null default false,
    time       timestamptz not null,
    released   timestamptz,
    constraint resolution_samples_are_whole
        check (cardinality(inputs) = cardinality(outputs) and cardinality(inputs) = cardinality(paths))
);
create index resolution_derivation on resolver.resolution (derivation);
create index resolution_resolved on resolver.resolution (resolved);
create index resolution_build on resolver.resolution (build) where build is not null;
create unique index resolution_in_force on resolver.resolution (derivation) where released is null;
comment on table resolver.resolution is 'Every resolution ever made, with the paths it was made from.';
comment on column resolver.resolution.inputs is 'Sampled inputs; outputs[i] of inputs[i] had paths[i].';
comment on column resolver.resolution.build is 'Build that has the step row with status 13, and stepnr its number.';
comment on column resolver.resolution.cut_off is
    'It ended without an attempt for its sake: what it resolves to was realised before, or was built for another.';
comment on column resolver.resolution.released is 'When it was given up because an input of it was lost, or was replaced; null: in force.';

create table resolver.failure (
    failure    bigint generated always as identity primary key,
    derivation bigint not null references resolver.derivation,
    class      text not null,
    status     integer not null,
    message    text,
    build      integer,
    stepnr     integer,
    time       timestamptz not null,
    cleared    timestamptz,
    constraint failure_class_known check (class in ('builder', 'transient', 'timeout', 'unsupported'))
);
create index failure_derivation on resolver.failure (derivation);
create unique index failure_in_force on resolver.failure (derivation) where cleared is null;
comment on table resolver.failure is 'Derivations that failed for good. Only failures of class builder are remembered for other builds.';
comment on column resolver.failure.status is 'Status as in Hydra''s BuildSteps.';
comment on column resolver.failure.build is 'Build and step that ran it.';
comment on column resolver.failure.cleared is 'When it was restarted; null: in force.';

create table resolver.goal (
    build    integer primary key,
    root     bigint not null references resolver.derivation,
    opened   timestamptz not null,
    retry    boolean,
    ended    timestamptz,
    status   integer,
    cached   boolean,
    cause    bigint references resolver.derivation,
    info     jsonb,
    recorded timestamptz,
    constraint goal_ended_has_status check ((ended is null) = (status is null)),
    constraint goal_recorded_after_end check (recorded is null or ended is not null)
);
create index goal_root on resolver.goal (root);
create index goal_cause on resolver.goal (cause) where cause is not null;
create index goal_unrecorded on resolver.goal (build) where ended is not null and recorded is null;
create index goal_open on resolver.goal (build) where ended is null;
comment on table resolver.goal is 'A build that wants its root, and how it ended.';
comment on column resolver.goal.root is 'The build''s top-level derivation.';
comment on column resolver.goal.opened is 'Since when it is wanted: failures before this time are cached failures.';
comment on column resolver.goal.retry is 'Whether known failures are tried again instead of ending it; null: those of class builder end it.';
comment on column resolver.goal.status is 'Status for Hydra''s Builds.';
comment on column resolver.goal.cached is 'The root was not built on this build''s account.';
comment on column resolver.goal.cause is 'The derivation that failed, if one did.';
comment on column resolver.goal.info is 'What was read from the outputs: sizes, release name, products, metrics.';
comment on column resolver.goal.recorded is 'When Hydra''s Builds row was updated: later than ended if another transaction held that row.';

create table resolver.walk (
    kind       text not null,
    derivation bigint not null,
    constraint walk_key primary key (kind, derivation),
    constraint walk_kind_known check (kind in ('want', 'fail', 'clear'))
);
create index walk_derivation on resolver.walk (derivation);
comment on table resolver.walk is 'Work list of walks over the graph: one holder of the graph lock does a bounded part.';
comment on column resolver.walk.kind is
    'want: its inputs become wanted; fail: its dependents learn that it failed; clear: they learn that it was restarted.';

create table resolver.worker (
    worker        integer generated always as identity primary key,
    name          text not null,
    verbs         text[] not null,
    systems       text[] not null,
    features      text[] not null,
    started       timestamptz not null,
    heartbeat     timestamptz not null,
    gone          timestamptz,
    constraint worker_verbs_known check (verbs <@ array['load', 'resolve', 'build'])
);
comment on table resolver.worker is 'Worker processes.';
comment on column resolver.worker.heartbeat is 'Last sign of life; older than the lease time: dead, and its claims are taken back.';
comment on column resolver.worker.gone is 'When it left, or was found dead.';

create table resolver.lease (
    lease      bigint generated always as identity primary key,
    derivation bigint not null,
    verb       text not null,
    worker     integer not null references resolver.worker,
    build      integer,
    stepnr     integer,
    opened     timestamptz not null,
    deadline   timestamptz,
    closed     timestamptz,
    outcome    text,
    digest     text,
    constraint lease_verb_known check (verb in ('load', 'resolve', 'build')),
    constraint lease_closed_has_outcome check ((closed is null) = (outcome is null)),
    constraint lease_build_has_step check ((verb = 'build') = (stepnr is not null))
);
create unique index lease_open on resolver.lease (derivation) where closed is null;
create index lease_open_of_worker on resolver.lease (worker) where closed is null;
create index lease_closed on resolver.lease (closed) where closed is not null;
comment on table resolver.lease is 'One claim of one derivation by one worker. Its number is the fence of the report.';
comment on column resolver.lease.deadline is 'Taken back after this time even from a living worker.';
comment on column resolver.lease.outcome is 'How it was closed: done, failed, retried, released, swept, stale.';
comment on column resolver.lease.digest is 'Digest of the report, so that the same report twice is told from another one.';

create table resolver.history (
    event       bigint generated always as identity primary key,
    transaction bigint not null,
    time        timestamptz not null,
    procedure   text,
    function    text,
    derivation  bigint not null,
    from_stage  text,
    to_stage    text,
    from_lease  bigint,
    to_lease    bigint,
    owner       integer,
    resolved_to bigint,
    output      text,
    path        text,
    valid       boolean,
    wanted      boolean,
    constraint history_is_of_stage_or_output
        check ((from_stage is null) = (to_stage is null) and (to_stage is null) = (output is not null)
               and (output is null) = (valid is null) and (valid is null) = (wanted is null))
);
comment on table resolver.history is
    'Append-only, while keep_history() is on: each change of a stage, lease or resolution, and of what is known of an output.';
comment on column resolver.history.transaction is 'The transaction that did it: what has one number became visible together.';
comment on column resolver.history.procedure is 'What was called, and function what made the change on its behalf; null: by hand.';
comment on column resolver.history.owner is 'Owner and resolution after the change.';
comment on column resolver.history.output is 'For a change of an output, its name, and what is known of it after the change.';

create type resolver.report as (
    lease      bigint,
    derivation bigint,
    build      integer,
    stepnr     integer,
    outcome    text,
    detail     text,
    digest     text,
    body       jsonb
);
comment on type resolver.report is 'One element of a report, with the claim that it is about, and what becomes of it.';

create type resolver.new_step as (
    build           integer,
    derivation      bigint,
    type            integer,
    busy            integer,
    status          integer,
    message         text,
    propagated_from integer,
    resolved        text
);
comment on type resolver.new_step is 'A row that BuildSteps is to get; type, busy and status are Hydra''s codes.';

create type resolver.ended as (
    derivation bigint,
    origin     bigint,
    info       jsonb,
    built_for  integer
);
comment on type resolver.ended is
    'A derivation whose outputs are valid now; origin: itself or what it follows; info: read from the outputs, null if nobody
looked; built_for: the build on whose account it was built just now, null if it was not.';
