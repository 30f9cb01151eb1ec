"""Rules about failures: a known permanent failure is not run again, and the rows say whose failure it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg.rows import args_row

from hydra_resolver.nix.store_path import StoreDir

FAILED, CACHED_FAILURE = 1, 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """A permanent failure: a builder ended with an error in a step of a build.

    Times are seconds since 1970. `until` is when the failure was cleared or forgotten; infinite if it is still known.
    """

    drv: str
    build: int | None
    time: float
    until: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """A build claim of a derivation, which is a step of a build. `swept`: its worker was declared dead."""

    drv: str
    build: int
    stepnr: int
    opened: float
    swept: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a failing builder by Nix."""

    drv: str
    time: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of BuildSteps, of type 0, with a failure."""

    build: int
    stepnr: int
    drv: str
    status: int
    propagated_from: int | None


@dataclass(frozen=True, slots=True)
class End:
    """A build that ended by a failure of `cause`; `resolved` is the time of the last resolution to `cause`."""

    build: int
    cause: str
    opened: float
    cached: bool
    resolved: float | None


@dataclass(frozen=True)
class Past:
    """All input of the checker. Derivations are base names of .drv files."""

    failures: Sequence[Failure] = ()
    attempts: Sequence[Attempt] = ()
    runs: Sequence[Run] = ()
    rows: Sequence[Row] = ()
    ends: Sequence[End] = ()
    builds: AbstractSet[int] = frozenset()
    """The builds that were not deleted."""


def run_in_vain(past: Past) -> Iterator[str]:
    """A derivation with a known failure is run only by a worker that was suspended between its claim and the run."""
    for failure in past.failures:
        runs = [run for run in past.runs if run.drv == failure.drv and failure.time < run.time < failure.until]
        late = [a for a in past.attempts if a.drv == failure.drv and a.swept and a.opened < failure.time]
        if len(runs) > len(late):
            yield f"{failure.drv} is known to fail from {failure.time} to {failure.until}, and was run {runs}"


def runs_are_attempts(past: Past) -> Iterator[str]:
    """Nix runs a builder at most once for each claim."""
    claimed = Counter(attempt.drv for attempt in past.attempts)
    for drv, number in Counter(run.drv for run in past.runs).items():
        if number > claimed[drv]:
            yield f"{drv} was run {number} times, and claimed {claimed[drv]} times"


def failures_are_runs(past: Past) -> Iterator[str]:
    """Each permanent failure was run before, once for each failure."""
    runs = Counter(run.drv for run in past.runs)
    for drv, number in Counter(failure.drv for failure in past.failures).items():
        if number > runs[drv]:
            yield f"{drv} failed {number} times, and was run {runs[drv]} times"


def rows_say_who_ran_it(past: Past) -> Iterator[str]:
    """A row without propagatedFrom is an attempt of its build; any other row names the build that made the attempt."""
    attempts = {(attempt.build, attempt.stepnr, attempt.drv) for attempt in past.attempts}
    ran = {(attempt.build, attempt.drv) for attempt in past.attempts}
    failed_in = {(failure.drv, failure.build) for failure in past.failures}
    for row in past.rows:
        is_attempt = (row.build, row.stepnr, row.drv) in attempts
        if row.propagated_from is None and not is_attempt:
            lost = {build for drv, build in failed_in if drv == row.drv} - past.builds
            if not lost:
                yield f"{row} is no attempt, and no other build is named"
        if row.propagated_from is not None and is_attempt:
            yield f"{row} is an attempt, and another build is named"
        if row.propagated_from is not None and (row.propagated_from, row.drv) not in ran:
            yield f"{row} names a build that did not run it"
        if row.status == CACHED_FAILURE and is_attempt:
            yield f"{row} is a cached failure, and was attempted"


def cached_is_what_was_known(past: Past) -> Iterator[str]:
    """A build ends as cached if its failure is older than its goal, or than a resolution to the failed derivation.

    Then its last row of the cause has status 8, and otherwise the status of the failure.
    """
    for end in past.ends:
        known = [f for f in past.failures if f.drv == end.cause and end.opened < f.until]
        if not known:
            continue  # the failure was forgotten, or did not come from a builder
        older = [f for f in known if f.time < end.opened or (end.resolved is not None and f.time < end.resolved)]
        if end.cached and not older:
            yield f"{end} is cached, and what ended it came later: {known}"
        if not end.cached and all(f.time < end.opened for f in known):
            yield f"{end} is not cached, and what ended it was known: {known}"
        rows = [row for row in past.rows if (row.build, row.drv) == (end.build, end.cause)]
        expected = CACHED_FAILURE if end.cached else FAILED
        if not rows or max(rows, key=lambda row: row.stepnr).status != expected:
            yield f"{end} has the rows {rows}, the last one should have status {expected}"


RULES: tuple[Callable[[Past], Iterator[str]], ...] = (
    run_in_vain,
    runs_are_attempts,
    failures_are_runs,
    rows_say_who_ran_it,
    cached_is_what_was_known,
)


def judge(past: Past) -> list[str]:
    """Return all violations of all rules."""
    return [f"{rule.__name__}: {problem}" for rule in RULES for problem in rule(past)]


def read_runs(file: Path, drvs: Sequence[str], store_dir: StoreDir) -> list[Run]:
    """Read the lines of builders: a time, and the path of the first output, which identifies the derivation."""
    places = {store_dir.unfinished_output_path(drv, "out"): drv for drv in drvs}
    lines = [line.split() for line in (file.read_text().splitlines() if file.exists() else [])]
    return [Run(places[path.rpartition("/")[2]], float(time)) for time, path in lines]


def read_past(conninfo: str, file: Path, store_dir: StoreDir) -> Past:
    """Read the past from the database, forgotten rows included (see past.py), and from the lines of builders."""
    with psycopg.connect(conninfo) as connection:

        def rows(kind: type[T], query: str) -> list[T]:
            with connection.cursor(row_factory=args_row(kind)) as cursor:
                return cursor.execute(query.encode()).fetchall()

        drvs = [drv for (drv,) in connection.execute("select distinct drv from storm.all_derivation").fetchall()]
        return Past(
            failures=rows(
                Failure,
                "select d.drv, f.build, extract(epoch from f.time)::float8,"
                " coalesce(extract(epoch from least(f.cleared_at, f.gone_at))::float8, 'infinity')"
                " from storm.all_failure f join storm.all_derivation d using (derivation) where f.class = 'builder'"
                " and f.build is not null",  # other failures were recalled from Hydra's rows, as cleared ones
            ),
            attempts=rows(
                Attempt,
                "select d.drv, l.build, l.stepnr, extract(epoch from l.opened_at)::float8, l.outcome = 'swept'"
                " from storm.all_lease l join storm.all_derivation d using (derivation) where l.verb = 'build'",
            ),
            runs=read_runs(file, drvs, store_dir),
            rows=rows(
                Row,
                "select build, stepnr, resolver.base_name(drvPath), status, propagatedFrom from BuildSteps"
                f" where type = 0 and busy = 0 and status in ({FAILED}, {CACHED_FAILURE})",
            ),
            ends=rows(
                End,
                "select g.build, d.drv, extract(epoch from g.opened_at)::float8, g.is_cached,"
                " (select extract(epoch from max(r.time))::float8 from resolver.resolution r"
                " where r.resolved = g.cause)"
                " from resolver.goal g join resolver.derivation d on d.derivation = g.cause"
                " join Builds b on b.id = g.build and b.buildStatus = g.status where g.ended_at is not null"
                " and g.blamed_at is null",
            ),
            builds={build for (build,) in connection.execute("select id from Builds").fetchall()},
        )
