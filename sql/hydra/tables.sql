-- Hydra's tables at schema version 87, for a database that has none.
--
-- Names, types, defaults and keys are those of a live Hydra, so that everything that is written here can be read by
-- Hydra's own programs. Only what the resolver, the evaluator and the web pages need is here.

create table SchemaVersion (
    version integer not null
);
insert into SchemaVersion (version) values (87);

create table Users (
    userName        text primary key not null,
    fullName        text,
    emailAddress    text not null,
    password        text not null,
    emailOnError    integer not null default 0,
    type            text not null default 'hydra',
    publicDashboard boolean not null default false
);

create table Projects (
    name        text primary key not null,
    displayName text not null,
    description text,
    enabled     integer not null default 1,
    hidden      integer not null default 0,
    owner       text not null references Users (userName) on update cascade,
    homepage    text,
    declfile    text,
    decltype    text,
    declvalue   text,
    enable_dynamic_run_command boolean not null default false
);

create table Jobsets (
    name             text not null,
    id               serial not null unique,
    project          text not null references Projects (name) on delete cascade on update cascade,
    description      text,
    nixExprInput     text,
    nixExprPath      text,
    errorMsg         text,
    errorTime        integer,
    lastCheckedTime  integer,
    triggerTime      integer,
    enabled          integer not null default 1,
    enableEmail      integer not null default 1,
    hidden           integer not null default 0,
    emailOverride    text not null,
    keepnr           integer not null default 3,
    checkInterval    integer not null default 300,
    schedulingShares integer not null default 100,
    fetchErrorMsg    text,
    forceEval        boolean,
    startTime        integer,
    type             integer not null default 0,
    flake            text,
    enable_dynamic_run_command boolean not null default false,
    constraint jobsets_schedulingshares_nonzero_check check (schedulingShares > 0),
    constraint jobsets_type_known check (type in (0, 1)),
    constraint jobsets_legacy_paths_check check ((type = 0) = (nixExprInput is not null and nixExprPath is not null)),
    constraint jobsets_flake_paths_check check ((type = 1) = (flake is not null)),
    primary key (project, name)
);

create table Builds (
    id             serial primary key not null,
    finished       integer not null,
    timestamp      integer not null,
    jobset_id      integer not null references Jobsets (id) on delete cascade,
    job            text not null,
    nixName        text,
    description    text,
    drvPath        text not null,
    system         text not null,
    license        text,
    homepage       text,
    maintainers    text,
    maxsilent      integer default 3600,
    timeout        integer default 36000,
    isChannel      integer not null default 0,
    isCurrent      integer default 0,
    priority       integer not null default 0,
    globalPriority integer not null default 0,
    startTime      integer,
    stopTime       integer,
    isCachedBuild  integer,
    buildStatus    integer,
    size           bigint,
    closureSize    bigint,
    releaseName    text,
    keep           integer not null default 0,
    notificationPendingSince integer,
    constraint builds_finished_has_times check (finished = 0
        or (stopTime is not null and stopTime != 0 and startTime is not null and startTime != 0))
);

create table BuildOutputs (
    build integer not null references Builds (id) on delete cascade,
    name  text not null,
    path  text,
    primary key (build, name)
);

create table BuildSteps (
    build              integer not null references Builds (id) on delete cascade,
    stepnr             integer not null,
    type               integer not null,
    drvPath            text not null,
    busy               integer not null,
    status             integer,
    errorMsg           text,
    startTime          integer,
    stopTime           integer,
    machine            text not null default '',
    system             text,
    propagatedFrom     integer references Builds (id) on delete cascade,
    overhead           integer,
    timesBuilt         integer,
    isNonDeterministic boolean,
    resolvedDrvPath    text,
    constraint buildsteps_resolved_has_path check ((status is not distinct from 13) = (resolvedDrvPath is not null)),
    primary key (build, stepnr)
);

create table BuildStepOutputs (
    build  integer not null,
    stepnr integer not null,
    name   text not null,
    path   text,
    primary key (build, stepnr, name),
    foreign key (build) references Builds (id) on delete cascade,
    foreign key (build, stepnr) references BuildSteps (build, stepnr) on delete cascade
);

create table BuildProducts (
    build       integer not null references Builds (id) on delete cascade,
    productnr   integer not null,
    type        text not null,
    subtype     text not null,
    fileSize    bigint,
    sha256hash  text,
    path        text,
    name        text not null,
    defaultPath text,
    primary key (build, productnr)
);

create table BuildMetrics (
    build     integer not null references Builds (id) on delete cascade,
    name      text not null,
    unit      text,
    value     double precision not null,
    project   text not null,
    jobset    text not null,
    job       text not null,
    timestamp integer not null,
    primary key (build, name),
    foreign key (project) references Projects (name) on update cascade,
    foreign key (project, jobset) references Jobsets (project, name) on update cascade
);

create table SystemStatus (
    what   text primary key not null,
    status json not null
);

create table FailedPaths (
    path text primary key not null
);
create rule IdempotentInsert as on insert to FailedPaths
    where exists (select 1 from FailedPaths where path = new.path) do instead nothing;

create table EvaluationErrors (
    id        serial primary key not null,
    errorMsg  text,
    errorTime integer
);

create table JobsetEvals (
    id                 serial primary key not null,
    jobset_id          integer not null references Jobsets (id) on delete cascade,
    evaluationerror_id integer references EvaluationErrors (id) on delete set null,
    timestamp          integer not null,
    checkoutTime       integer not null,
    evalTime           integer not null,
    hasNewBuilds       integer not null,
    hash               text not null,
    nrBuilds           integer,
    nrSucceeded        integer,
    flake              text,
    nixExprInput       text,
    nixExprPath        text
);

create table JobsetEvalMembers (
    eval  integer not null references JobsetEvals (id) on delete cascade,
    build integer not null references Builds (id) on delete cascade,
    isNew integer not null,
    primary key (eval, build)
);

create table AggregateConstituents (
    aggregate   integer not null references Builds (id) on delete cascade,
    constituent integer not null references Builds (id) on delete cascade,
    primary key (aggregate, constituent)
);

create table NrBuilds (
    what  text primary key not null,
    count integer not null
);
insert into NrBuilds (what, count) values ('finished', 0);

create index IndexBuildStepsOnBusy on BuildSteps (busy) where busy != 0;
create index IndexBuildStepsOnDrvPath on BuildSteps (drvPath);
create index IndexBuildStepsOnPropagatedFrom on BuildSteps (propagatedFrom) where propagatedFrom is not null;
create index IndexBuildStepsOnStopTime on BuildSteps (stopTime desc) where startTime is not null and stopTime is not null;
create index IndexBuildStepOutputsOnPath on BuildStepOutputs (path);
create index IndexBuildOutputsPath on BuildOutputs using hash (path);
create index IndexBuildsOnFinished on Builds (finished) where finished = 0;
create index IndexBuildsOnDrvPath on Builds (drvPath);
create index IndexBuildsOnJobsetId on Builds (jobset_id);
create index IndexBuildMetricsOnBuild on BuildMetrics (build);
create index IndexJobsetEvalMembersOnBuild on JobsetEvalMembers (build);
create index IndexJobsetEvalsOnJobsetId on JobsetEvals (jobset_id);
create index IndexAggregateConstituentsOnConstituent on AggregateConstituents (constituent);
