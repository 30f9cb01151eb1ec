"""Reads the history of a database: `resolver.history`, and the rows that must agree with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import args_row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event:
    """A row of `history`: a derivation moved to another stage, or one of its outputs changed."""

    event: int
    transaction: int
    derivation: int
    procedure: str | None
    function: str | None
    from_stage: str | None = None
    to_stage: str | None = None
    from_lease: int | None = None
    to_lease: int | None = None
    resolved_to: int | None = None
    output: str | None = None
    path: str | None = None
    valid: bool = False
    wanted: bool = False

    @property
    def is_move(self) -> bool:
        """Whether the derivation moved to another stage."""
        return self.from_stage != self.to_stage


@dataclass(frozen=True, slots=True)
class Lease:
    """A row of `lease`."""

    lease: int
    derivation: int
    verb: str
    build: int | None
    stepnr: int | None
    opened: datetime
    closed: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """A row of BuildSteps, with the derivation's number."""

    build: int
    stepnr: int
    derivation: int
    type: int
    busy: int
    status: int | None


@dataclass(frozen=True, slots=True)
class Build:
    """A row of Builds, and whether the end of its goal is recorded; `None` if the build has no goal."""

    build: int
    finished: bool
    status: int | None
    recorded: bool | None


@dataclass(frozen=True)
class Record:
    """All input of the checker. Derivations are numbers."""

    events: Sequence[Event]
    transitions: AbstractSet[tuple[str, str, str]]
    dependencies: Mapping[int, Mapping[int, Sequence[str]]] = field(default_factory=dict)
    """The outputs that each derivation needs, by input."""
    stages: Mapping[int, tuple[str, int | None, int | None]] = field(default_factory=dict)
    """The current stage, lease and resolution of each derivation."""
    leases: Sequence[Lease] = ()
    realisations: AbstractSet[tuple[int, str, str]] = frozenset()
    resolved: AbstractSet[int] = frozenset()
    """The derivations that are the result of a resolution."""
    steps: Sequence[Step] = ()
    builds: Sequence[Build] = ()
    counted: int = 0
    """The number of finished builds in Hydra's counter."""
    walks: int = 0
    violations: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """The state of an output at one moment of a history."""

    path: str | None
    valid: bool
    wanted: bool


@dataclass
class Situation:
    """The state of all derivations at one moment of a history."""

    stages: dict[int, str] = field(default_factory=dict)
    leases: dict[int, int | None] = field(default_factory=dict)
    resolutions: dict[int, int | None] = field(default_factory=dict)
    outputs: dict[int, dict[str, Output]] = field(default_factory=lambda: defaultdict(dict))

    def stage(self, derivation: int) -> str:
        """The derivation's stage; every derivation begins as unloaded."""
        return self.stages.get(derivation, "unloaded")

    def is_valid(self, derivation: int, output: str) -> bool:
        """Whether the output is valid."""
        known = self.outputs[derivation].get(output)
        return known is not None and known.valid

    def lacks(self, derivation: int) -> list[str]:
        """The outputs of the derivation that are wanted and not valid."""
        return [name for name, output in self.outputs[derivation].items() if output.wanted and not output.valid]

    def apply(self, event: Event) -> None:
        """Apply one event."""
        if event.output is not None:
            self.outputs[event.derivation][event.output] = Output(event.path, event.valid, event.wanted)
        elif event.to_stage is not None:
            self.stages[event.derivation] = event.to_stage
            self.leases[event.derivation] = event.to_lease
            self.resolutions[event.derivation] = event.resolved_to


def replay(events: Sequence[Event]) -> Iterator[tuple[Event, Situation]]:
    """Yield each event with the situation before the event."""
    situation = Situation()
    for event in events:
        yield event, situation
        situation.apply(event)


def read(conninfo: str) -> Record:
    """Read the record of a database, in one snapshot."""
    with psycopg.connect(conninfo) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ

        def rows(kind: type[T], query: str) -> list[T]:
            with connection.cursor(row_factory=args_row(kind)) as cursor:
                return cursor.execute(query.encode()).fetchall()

        def tuples(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode()).fetchall()

        dependencies: dict[int, dict[int, Sequence[str]]] = defaultdict(dict)
        # A chain counts as its beginning: where it led may have changed, and check_chain covers that.
        for derivation, dependency, outputs in tuples(
            "select derivation, input, outputs from resolver.dependency"
            " where derivation not in (select derivation from resolver.chain)"
            " union all"
            " select derivation, root, array_agg(distinct outputs[1]) from resolver.chain group by derivation, root"
        ):
            dependencies[derivation][dependency] = outputs
        return Record(
            events=rows(
                Event,
                "select event, transaction, derivation, procedure, function, from_stage, to_stage, from_lease,"
                " to_lease, resolved_to, output, path, coalesce(valid, false), coalesce(is_wanted, false)"
                " from resolver.history order by event",
            ),
            transitions={(a, b, by) for a, b, by in tuples("select * from resolver.transition")},
            dependencies=dependencies,
            stages={
                derivation: (stage, lease, resolved_to)
                for derivation, stage, lease, resolved_to in tuples(
                    "select derivation, stage, lease, resolved_to from resolver.derivation_state"
                )
            },
            leases=rows(
                Lease,
                "select lease, derivation, verb, build, stepnr, opened_at, closed_at, outcome"
                " from resolver.lease order by 1",
            ),
            realisations={(d, o, p) for d, o, p in tuples("select derivation, output, path from resolver.realisation")},
            resolved={row[0] for row in tuples("select distinct resolved from resolver.resolution")},
            steps=rows(
                Step,
                "select s.build, s.stepnr, d.derivation, s.type, s.busy, s.status from BuildSteps s"
                " join resolver.derivation d on d.drv = resolver.base_name(s.drvPath) order by 1, 2",
            ),
            builds=rows(
                Build,
                "select b.id, b.finished = 1, b.buildStatus, case when g.build > 0 then g.recorded_at is not null end"
                " from Builds b left join resolver.goal g on g.build = b.id order by 1",
            ),
            counted=sum(row[0] for row in tuples("select count from NrBuilds where what = 'finished'")),
            walks=tuples("select count(*) from resolver.propagation")[0][0],
            violations=[
                f"{view} has {number} rows" for view, number in tuples("select * from resolver.invariant_violations()")
            ],
        )
