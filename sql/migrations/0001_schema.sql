-- Tables of the resolver. A migration is applied once, and never edited after a release: later changes are later files.
--
-- Facts about derivations (derivation, output, dependency) are apart from their states (derivation_state, watch) and from events
-- (realisation, resolution, failure, lease). Store paths are base names, `hash-name`.
-- Tables with a row for each edge, claim or event refer to derivations without foreign keys: the checks of these keys, and their row
-- locks, were a tenth of the server's work. See resolver.check_references.
-- While a table is empty, the planner prefers a partial index whose condition follows from the query's condition, reads all of it
-- later, and keeps that plan until the table is analyzed. So a partial index has a condition here that a query states only to use it
-- (`owner > 0`), and an index that gives an order has an expression (`derivation + 0`).

comment on schema resolver is
    'Resolution of content-addressed derivations: the build graph of Hydra, kept beside Hydra''s own tables.';

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
    'A derivation whose outputs are valid now; origin: itself or what it follows; info: read from the outputs, null if no worker
read them; built_for: the build on whose account it was built just now, null if it was not.';

create type resolver.builder as (
    machine   text,
    systems   text[],
    features  text[],
    mandatory text[]
);
comment on type resolver.builder is
    'A machine that Nix can build on: its name, its systems, the features it has, and those a derivation must ask for to be sent there.';

create type resolver.edge_range as (
    subject    bigint,
    after      bigint,
    upto       bigint,
    neighbours integer,
    whole      boolean
);
comment on type resolver.edge_range is
    'A part of the neighbours of a derivation: so many, with numbers greater than after, up to upto; whole: no others are left.';

create type resolver.answer as (
    lease   bigint,
    outcome text,
    detail  text
);
comment on type resolver.answer is 'What became of one element of a report.';

create table resolver.store (
    only_row  boolean default true primary key,
    directory text not null,
    identity  text not null,
    constraint store_is_one check (only_row)
);
comment on table resolver.store is 'The one Nix store that this database speaks about.';
comment on column resolver.store.directory is 'Store directory, such as /nix/store; part of every path that Hydra''s tables hold.';
comment on column resolver.store.identity is 'Tells this store from another one with the same directory.';

create table resolver.writer (
    only_row boolean default true primary key,
    constraint writer_is_one check (only_row)
);
comment on table resolver.writer is 'Its one row is the graph lock: see lock_graph().';
insert into resolver.writer default values;

create table resolver.setting (
    only_row             boolean default true primary key,
    lease_time           interval not null default '60 seconds',
    max_unsupported_time interval default '1 day',
    max_tries            integer not null default 5,
    retry_delay          interval not null default '60 seconds',
    constraint setting_is_one check (only_row),
    constraint setting_lease_time_positive check (lease_time > '0'),
    constraint setting_max_unsupported_time_not_negative check (max_unsupported_time >= '0'),
    constraint setting_max_tries_positive check (max_tries > 0),
    constraint setting_retry_delay_not_negative check (retry_delay >= '0')
);
comment on table resolver.setting is 'What the operator may change, for all workers of this database: one row.';
comment on column resolver.setting.lease_time is
    'How long a worker may be silent before its claims are taken back. Workers learn of a change when they start.';
comment on column resolver.setting.max_unsupported_time is
    'How long something may wait that no live worker takes, before it fails as unsupported; null: for ever.';
comment on column resolver.setting.max_tries is 'After so many attempts a transient failure counts.';
comment on column resolver.setting.retry_delay is
    'How long after the first attempt the second is made; three times as long after each further one.';
insert into resolver.setting default values;

create table resolver.machine_type (
    machine_type      integer generated always as identity primary key,
    system            text not null,
    features          text[] not null,
    prefer_local      boolean not null,
    floating          boolean not null,
    unsupported_since timestamptz,
    constraint machine_type_unique unique (system, features, prefer_local, floating)
);
comment on table resolver.machine_type is 'Requirements of derivations for a machine: some ten rows. Each has a queue of its own for every jobset.';
comment on column resolver.machine_type.features is 'System features that a builder must have, sorted.';
comment on column resolver.machine_type.prefer_local is 'For derivations that say preferLocalBuild.';
comment on column resolver.machine_type.floating is
    'For derivations whose output paths are not known before: Nix sends them only to builders with the feature ca-derivations.';
comment on column resolver.machine_type.unsupported_since is
    'Since when something waits to be built that no live worker takes; null: nothing does. See fail_unsupported().';

create table resolver.derivation (
    derivation   bigint generated always as identity primary key,
    drv          text not null,
    name         text,
    system       text,
    kind         text,
    features     text[] not null default '{}',
    prefer_local boolean not null default false,
    must_resolve boolean not null default false,
    machine_type integer,
    constraint derivation_drv_unique unique (drv),
    constraint derivation_drv_is_base_name check (drv ~ '^[0-9a-z]{32}-[^/]+\.drv$'),
    constraint derivation_kind_known check (kind in ('input-addressed', 'fixed', 'floating', 'deferred')),
    constraint derivation_loaded_whole check ((name is null) = (kind is null) and (system is null) = (kind is null))
);
create index derivation_name on resolver.derivation (name) where must_resolve;
comment on table resolver.derivation is 'A derivation and what its .drv says; the latter is null until it was loaded.';
comment on column resolver.derivation.drv is 'Base name of the .drv file in the store.';
comment on column resolver.derivation.name is 'Name of the derivation, without hash and .drv.';
comment on column resolver.derivation.system is 'The system that it is built on, such as x86_64-linux.';
comment on column resolver.derivation.kind is
    'Kind of all its outputs, in Nix''s words: input-addressed, fixed, floating, deferred. Null until loaded.';
comment on column resolver.derivation.features is 'System features that a builder must have (requiredSystemFeatures).';
comment on column resolver.derivation.prefer_local is 'It says preferLocalBuild.';
comment on column resolver.derivation.must_resolve is 'It has derivation inputs that have to be replaced by paths before Nix may build it.';
comment on column resolver.derivation.machine_type is
    'What it asks of a machine: system, features, prefer_local and floating in one number.';

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
    machine_type      integer,
    jobset            integer,
    height            smallint not null default 0,
    max_silent        integer,
    timeout           integer,
    constraint state_stage_known check (stage in ('unloaded', 'waiting', 'resolvable', 'resolved', 'buildable', 'building',
        'realised', 'failed')),
    constraint state_resolved_to_while_resolved check (resolved_to is null or stage in ('resolved', 'realised')),
    constraint state_resolved_has_resolution check (stage <> 'resolved' or resolved_to is not null),
    constraint state_lease_while_claimed check (lease is null or stage in ('unloaded', 'resolvable', 'building')),
    constraint state_building_has_lease check (stage <> 'building' or lease is not null),
    constraint state_realised_has_no_failed_dependency check (stage <> 'realised' or failed_dependency is null),
    constraint state_wanted_has_jobset check (owner is null or jobset is not null)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index state_followers on resolver.derivation_state (resolved_to, (derivation + 0))
    where stage = 'resolved' and resolved_to > 0;
create index state_resolved_to on resolver.derivation_state (resolved_to) where resolved_to > 0;
create index state_failed_dependency on resolver.derivation_state (failed_dependency, (derivation + 0))
    where failed_dependency > 0;
create index state_to_load on resolver.derivation_state (global_priority desc, priority desc, derivation)
    where stage = 'unloaded' and lease is null and owner > 0;
create index state_to_resolve on resolver.derivation_state (global_priority desc, priority desc, derivation)
    where stage = 'resolvable' and lease is null and owner > 0;
create index state_to_build on resolver.derivation_state
    (machine_type, jobset, global_priority desc, height desc, priority desc, owner, derivation)
    where stage = 'buildable' and owner > 0;
create index state_owner on resolver.derivation_state (owner, (derivation + 0))
    where owner > 0 and stage not in ('realised', 'failed');
create index state_paused on resolver.derivation_state (not_before) where not_before is not null;
comment on table resolver.derivation_state is 'Where each derivation stands. The one table that is written at every move.';
comment on column resolver.derivation_state.stage is 'See resolver.transition for what may follow what.';
comment on column resolver.derivation_state.owner is
    'A build that wants it (a hint that the claim verifies); null: no build wants it. No foreign key: builds come and go.';
comment on column resolver.derivation_state.global_priority is 'Highest globalPriority of a build that wanted it.';
comment on column resolver.derivation_state.priority is 'Highest priority of a build that wanted it.';
comment on column resolver.derivation_state.tries is 'Attempts that ended in a transient failure or were cut short, in a row.';
comment on column resolver.derivation_state.not_before is 'No claim before this time: back-off after a transient failure.';
comment on column resolver.derivation_state.resolved_to is
    'The resolution in force: it waits for that derivation and takes over its outputs.';
comment on column resolver.derivation_state.failed_dependency is
    'One direct input (or its resolution) that failed or has a failed dependency itself: a chain that leads to the cause.';
comment on column resolver.derivation_state.lease is 'The open lease, if a worker has claimed it.';
comment on column resolver.derivation_state.machine_type is
    'That of the derivation, since it was settled first: part of the queue it is in.';
comment on column resolver.derivation_state.jobset is 'That of the owner: the other part.';
comment on column resolver.derivation_state.height is
    'Length of the longest chain of wanted dependents above it, as far as is known: what is left after it has been built.';
comment on column resolver.derivation_state.max_silent is
    'Largest maxsilent, in seconds, of the builds that wanted it, if it is larger than Hydra''s default; 2147483647: no limit.
timeout: likewise.';
comment on column resolver.derivation_state.timeout is
    'Largest timeout of the builds that wanted it, if it is larger than Hydra''s default.';

create table resolver.transition (
    from_stage text,
    to_stage   text,
    procedure  text,
    constraint transition_key primary key (from_stage, to_stage, procedure)
);
comment on table resolver.transition is 'The only list of legal moves: (from, to, function that makes it).';
insert into resolver.transition values
    ('unloaded', 'waiting', 'reevaluate_readiness'),
    ('unloaded', 'waiting', 'reevaluate_readiness_along'),
    ('unloaded', 'resolvable', 'reevaluate_readiness_along'),
    ('unloaded', 'buildable', 'reevaluate_readiness_along'),
    ('unloaded', 'realised', 'record_completions'),
    ('unloaded', 'failed', 'record_failure'),
    ('waiting', 'resolvable', 'reevaluate_readiness_along'),
    ('waiting', 'buildable', 'reevaluate_readiness_along'),
    ('waiting', 'realised', 'record_completions'),
    ('waiting', 'failed', 'record_failure'),
    ('resolvable', 'waiting', 'propagate_loss'),
    ('resolvable', 'waiting', 'reevaluate_readiness'),
    ('resolvable', 'waiting', 'reevaluate_readiness_along'),
    ('resolvable', 'resolved', 'apply_resolutions'),
    ('resolvable', 'buildable', 'skip_resolution'),
    ('resolvable', 'realised', 'record_completions'),
    ('resolvable', 'failed', 'record_failure'),
    ('resolved', 'waiting', 'propagate_loss'),
    ('resolved', 'waiting', 'release_resolutions'),
    ('resolved', 'realised', 'record_completions'),
    ('resolved', 'failed', 'complete_followers'),
    ('buildable', 'waiting', 'propagate_loss'),
    ('buildable', 'waiting', 'reevaluate_readiness'),
    ('buildable', 'waiting', 'reevaluate_readiness_along'),
    ('buildable', 'building', 'claim_builds'),
    ('buildable', 'realised', 'record_completions'),
    ('buildable', 'failed', 'record_failure'),
    ('building', 'buildable', 'apply_failed'),
    ('building', 'buildable', 'revoke_leases'),
    ('building', 'realised', 'record_completions'),
    ('building', 'failed', 'record_failure'),
    ('realised', 'unloaded', 'apply_resolutions'),
    ('realised', 'unloaded', 'invalidate_lost_outputs'),
    ('realised', 'unloaded', 'open_goals'),
    ('realised', 'unloaded', 'record_completions'),
    ('realised', 'unloaded', 'propagate_demand_along'),
    ('failed', 'unloaded', 'propagate_retry'),
    ('failed', 'unloaded', 'clear_failure');

create table resolver.output (
    derivation  bigint,
    name        text,
    path        text,
    valid_since timestamptz,
    lost_at        timestamptz,
    is_wanted      boolean not null default false,
    constraint output_key primary key (derivation, name),
    constraint output_valid_has_path check (valid_since is null or path is not null),
    constraint output_valid_is_not_lost check (valid_since is null or lost_at is null)
) with (fillfactor = 80);
create index output_path on resolver.output (path);
comment on table resolver.output is 'Outputs of a derivation, with the path that is served to its dependents.';
comment on column resolver.output.path is 'Base name of the store path; null until it is known.';
comment on column resolver.output.valid_since is 'When it was recorded as valid in the store; null: not valid now.';
comment on column resolver.output.lost_at is 'When it was found to have gone.';
comment on column resolver.output.is_wanted is 'A goal or a dependent asks for it.';

create table resolver.dependency (
    derivation bigint,
    input      bigint,
    outputs    text[] not null,
    constraint dependency_key primary key (derivation, input),
    constraint dependency_is_not_circular check (derivation <> input)
);
create index dependency_input on resolver.dependency (input, (derivation + 0));
comment on table resolver.dependency is 'A derivation input, or what a chain leads to: satisfied when all the outputs it names are valid.';
comment on column resolver.dependency.outputs is 'Names of the outputs that the derivation uses.';

create table resolver.chain (
    derivation bigint,
    root       bigint,
    outputs    text[],
    followed   integer not null default 0,
    input      bigint not null,
    constraint chain_key primary key (derivation, root, outputs),
    constraint chain_followed_within_chain check (followed >= 0 and followed < cardinality(outputs))
);
create index chain_input on resolver.chain (input, (derivation + 0));
comment on table resolver.chain is
    'What a dynamic derivation needs: an output of its input, or of the derivation that this output is, and so on.';
comment on column resolver.chain.root is 'The input that its .drv names.';
comment on column resolver.chain.outputs is
    'Output names: the first is one of the root; each further one is of the derivation that the one before turned out to be.';
comment on column resolver.chain.followed is
    'How many of the outputs were found to be derivations: all but the last when it is followed to the end.';
comment on column resolver.chain.input is 'The derivation that this leads to so far, whose next output is needed.';

create table resolver.watch (
    derivation bigint primary key,
    input      bigint not null,
    in_order   boolean not null default false
) with (autovacuum_vacuum_scale_factor = 0.05);
create index watch_input on resolver.watch (input, (derivation + 0));
comment on table resolver.watch is 'A waiting derivation and the one unsatisfied input that it looks at.';
comment on column resolver.watch.input is 'When this one changes, the watcher looks for its next unsatisfied input.';
comment on column resolver.watch.in_order is
    'All inputs with lower numbers are satisfied: a derivation with very many inputs looks through them in their order.';

create table resolver.propagation (
    kind    text,
    subject bigint,
    after   bigint not null default 0,
    constraint propagation_key primary key (kind, subject),
    constraint propagation_kind_known check (kind in ('clear', 'lose', 'chain', 'wake', 'follow', 'missing', 'fail', 'settle',
        'seek', 'want', 'disown', 'raise'))
);
create index propagation_subject on resolver.propagation (subject);
comment on table resolver.propagation is 'Work list of propagations over the graph: one holder of the graph lock does a bounded part.';
comment on column resolver.propagation.kind is
    'clear: dependents learn that it was restarted; lose: dependents learn that an output is gone; chain: chains that wait for its
outputs go on; wake: watchers look for their next input; follow: what was resolved to it ends with it; missing: dependents that name
an output that it does not have fail; fail: dependents learn that it failed; settle: it looks through its inputs; seek: it looks for
an owner among its dependents; want: its inputs become wanted; disown: what the build owned looks for another owner; raise: its
inputs learn its height.';
comment on column resolver.propagation.subject is 'The derivation that it starts from; for disown, a build.';
comment on column resolver.propagation.after is 'The neighbours up to this number have been reached.';

create table resolver.goal (
    build    integer primary key,
    root     bigint not null references resolver.derivation,
    opened_at   timestamptz not null,
    retry    boolean,
    ended_at    timestamptz,
    status   integer,
    is_cached   boolean,
    cause    bigint references resolver.derivation,
    info     jsonb,
    recorded_at timestamptz,
    jobset   integer,
    blamed_at   timestamptz,
    constraint goal_ended_has_status check ((ended_at is null) = (status is null)),
    constraint goal_recorded_after_end check (recorded_at is null or ended_at is not null)
);
create index goal_root on resolver.goal (root);
create index goal_cause on resolver.goal (cause) where cause is not null;
create index goal_unrecorded on resolver.goal (build) where ended_at is not null and recorded_at is null;
create index goal_open on resolver.goal (build) where ended_at is null and build > 0;
create index goal_open_root on resolver.goal (root, (build + 0)) where ended_at is null and root > 0;
comment on table resolver.goal is 'A build that wants its root, and how it ended.';
comment on column resolver.goal.root is 'The build''s top-level derivation.';
comment on column resolver.goal.opened_at is 'Since when it is wanted: failures before this time are cached failures.';
comment on column resolver.goal.retry is
    'Whether known failures are tried again instead of ending it; null: those of class builder end it.';
comment on column resolver.goal.status is 'Status for Hydra''s Builds.';
comment on column resolver.goal.is_cached is 'The root was not built on this build''s account.';
comment on column resolver.goal.cause is 'The derivation that failed, if one did.';
comment on column resolver.goal.info is 'Facts read from the outputs: sizes, release name, products, metrics.';
comment on column resolver.goal.recorded_at is 'When Hydra''s Builds row was updated: later than ended if another transaction held that row.';
comment on column resolver.goal.jobset is 'Jobset of the build.';
comment on column resolver.goal.blamed_at is
    'Since when another failure is its cause than the one by which it ended: that was cleared, and this one is in the way still.';

create table resolver.build_request (
    build integer primary key,
    retry boolean
);
comment on table resolver.build_request is 'Unfinished builds that are to become goals: a bounded number at a time.';
comment on column resolver.build_request.retry is
    'Whether known failures are tried again, or end it: enqueue() was told so; null: as for what Hydra''s evaluator adds.';

create table resolver.build_scan (
    only_row  boolean default true primary key,
    complete  integer,
    seen      integer not null default 0,
    seen_xact xid8 not null default '0',
    position  integer,
    again     boolean not null default false,
    began_at     timestamptz not null default '-infinity',
    constraint build_scan_is_one check (only_row)
);
comment on table resolver.build_scan is 'How far Hydra''s Builds have been looked through: see changed_builds(). One row.';
comment on column resolver.build_scan.complete is
    'Builds up to this number are all committed, and were seen; null: none was looked at yet.';
comment on column resolver.build_scan.seen is 'The highest number that was seen when seen_xact was the next transaction to begin.';
comment on column resolver.build_scan.position is 'How far the pass over all open goals came; null: none is under way.';
comment on column resolver.build_scan.again is 'Something was changed since it began: another one is to follow.';
comment on column resolver.build_scan.began_at is 'When that pass, or the last one, began.';
insert into resolver.build_scan default values;

create table resolver.failure (
    failure    bigint generated always as identity primary key,
    derivation bigint not null references resolver.derivation,
    class      text not null,
    status     integer not null,
    message    text,
    build      integer,
    stepnr     integer,
    time       timestamptz not null,
    cleared_at    timestamptz,
    is_reopening  boolean not null default false,
    constraint failure_class_known check (class in ('builder', 'transient', 'timeout', 'unsupported')),
    constraint failure_reopening_is_cleared check (not is_reopening or cleared_at is not null)
);
create index failure_derivation on resolver.failure (derivation);
create index failure_reopening on resolver.failure (failure) where is_reopening;
create unique index failure_in_force on resolver.failure (derivation) where cleared_at is null and derivation > 0;
comment on table resolver.failure is 'Derivations that failed for good. Only failures of class builder are remembered for other builds.';
comment on column resolver.failure.status is 'Status as in Hydra''s BuildSteps.';
comment on column resolver.failure.build is 'Build and step that ran it.';
comment on column resolver.failure.cleared_at is 'When it was restarted; null: in force.';
comment on column resolver.failure.is_reopening is
    'A person restarted a build that was in its way: others that ended by it have yet to be opened again.';

create table resolver.resolution (
    resolution bigint generated always as identity primary key,
    derivation bigint not null,
    resolved   bigint not null,
    inputs     bigint[] not null,
    outputs    text[] not null,
    paths      text[] not null,
    build      integer,
    stepnr     integer,
    is_cut_off    boolean not null default false,
    time       timestamptz not null,
    released_at   timestamptz,
    constraint resolution_samples_are_whole check (cardinality(inputs) = cardinality(outputs) and cardinality(inputs) =
        cardinality(paths))
);
create index resolution_derivation on resolver.resolution (derivation);
create index resolution_resolved on resolver.resolution (resolved);
create unique index resolution_in_force on resolver.resolution (derivation) where released_at is null and derivation > 0;
create index resolution_build on resolver.resolution (build);
comment on table resolver.resolution is 'Every resolution ever made, with the paths it was made from.';
comment on column resolver.resolution.inputs is 'Sampled inputs; outputs[i] of inputs[i] had paths[i].';
comment on column resolver.resolution.build is 'Build that has the step row with status 13, and stepnr its number.';
comment on column resolver.resolution.is_cut_off is
    'It ended without an attempt for its sake: what it resolves to was realised before, or was built for another.';
comment on column resolver.resolution.released_at is 'When it was given up because an input of it was lost, or was replaced; null: in force.';

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
    ceased_at      timestamptz,
    constraint realisation_source_known check (source in ('built', 'local', 'substituted'))
);
create index realisation_derivation on resolver.realisation (derivation);
create index realisation_path on resolver.realisation (path) where ceased_at is null and path > '';
create unique index realisation_valid on resolver.realisation (derivation, output, path) where ceased_at is null and derivation > 0;
comment on table resolver.realisation is 'The build trace: every path that an output was ever found to have.';
comment on column resolver.realisation.source is 'How it was learned: built by a step, found in the local store, substituted.';
comment on column resolver.realisation.build is 'Build on whose account it was built or found; a plain number that outlives the build.';
comment on column resolver.realisation.seconds is 'How long the attempt took that built it.';
comment on column resolver.realisation.ceased_at is 'When the path ceased to be valid; null: in force.';

create table resolver.lost_path (
    path text primary key,
    lost_at timestamptz not null
);
comment on table resolver.lost_path is 'Store paths that are gone: outputs that have them cease to be valid, a bounded number at a time.';
comment on column resolver.lost_path.lost_at is 'When the path was found to be missing: an output that was recorded as valid later was made again.';

create table resolver.worker (
    worker         integer generated always as identity primary key,
    name           text not null,
    verbs          text[] not null,
    systems        text[] not null,
    features       text[] not null,
    started_at        timestamptz not null,
    heartbeat      timestamptz not null,
    gone_at           timestamptz,
    jobs           integer,
    builders       resolver.builder[] not null default '{}',
    feature_limits jsonb not null default '{}',
    only_kind      text,
    constraint worker_verbs_known check (verbs <@ array['load', 'resolve', 'build']),
    constraint worker_only_kind_known check (only_kind in ('local', 'prefer-local'))
);
create index worker_living on resolver.worker (worker) where gone_at is null;
create index worker_gone on resolver.worker (gone_at) where gone_at is not null;
comment on table resolver.worker is 'Worker processes.';
comment on column resolver.worker.systems is
    'Systems that its own machine builds for, and features what that has; see builders for others.';
comment on column resolver.worker.heartbeat is 'Last sign of life; older than the lease time: dead, and its claims are taken back.';
comment on column resolver.worker.gone_at is 'When it left, or was found dead.';
comment on column resolver.worker.jobs is 'How many builds it does at the same time; null: it did not say.';
comment on column resolver.worker.builders is 'Remote builders that its Nix sends derivations to.';
comment on column resolver.worker.feature_limits is
    'How many derivations that require a feature it builds at the same time: {feature: number}.';
comment on column resolver.worker.only_kind is
    'local: it takes what its own machine can build; prefer-local: of that only what says preferLocalBuild; null: all.';

create table resolver.lease (
    lease      bigint generated always as identity primary key,
    derivation bigint not null,
    verb       text not null,
    worker     integer not null references resolver.worker,
    build      integer,
    stepnr     integer,
    opened_at     timestamptz not null,
    deadline   timestamptz,
    closed_at     timestamptz,
    outcome    text,
    digest     text,
    started_at    timestamptz,
    constraint lease_verb_known check (verb in ('load', 'resolve', 'build')),
    constraint lease_closed_has_outcome check ((closed_at is null) = (outcome is null)),
    constraint lease_build_has_step check ((verb = 'build') = (stepnr is not null))
);
create unique index lease_open on resolver.lease (derivation) where closed_at is null;
create index lease_open_of_worker on resolver.lease (worker) where closed_at is null;
create index lease_closed on resolver.lease (closed_at) where closed_at is not null;
comment on table resolver.lease is 'One claim of one derivation by one worker. Its number is the fence of the report.';
comment on column resolver.lease.deadline is 'Taken back after this time even from a living worker.';
comment on column resolver.lease.outcome is 'How it was closed: done, failed, retried, released, swept, stale.';
comment on column resolver.lease.digest is 'Digest of the report, so that the same report twice is told from another one.';
comment on column resolver.lease.started_at is 'When a machine began to build it: only this is charged to the jobset.';

create table resolver.interrupted_step (
    build  integer,
    stepnr integer,
    drv    text not null,
    constraint interrupted_step_key primary key (build, stepnr)
);
create index interrupted_step_drv on resolver.interrupted_step (drv);
comment on table resolver.interrupted_step is
    'Rows of BuildSteps whose attempts were taken back without a report: the next attempt for the same build takes that row.';

create table resolver.jobset_use (
    hour    timestamptz,
    jobset  integer,
    seconds double precision not null,
    constraint jobset_use_key primary key (hour, jobset)
);
comment on table resolver.jobset_use is 'Seconds of building on account of each jobset, by the hour in which steps ended. Kept for a day.';

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
    is_wanted      boolean,
    constraint history_is_of_stage_or_output check ((from_stage is null) = (to_stage is null) and (to_stage is null) =
        (output is not null) and (output is null) = (valid is null) and (valid is null) = (is_wanted is null))
);
comment on table resolver.history is
    'Append-only, while keep_history() is on: each change of a stage, lease or resolution, and of what is known of an output.';
comment on column resolver.history.transaction is 'The transaction that did it: what has one number became visible together.';
comment on column resolver.history.procedure is 'The procedure that was called; function made the change for it. Null: a statement by hand.';
comment on column resolver.history.owner is 'Owner and resolution after the change.';
comment on column resolver.history.output is 'For a change of an output, its name, and what is known of it after the change.';
