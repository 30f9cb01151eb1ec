"""The stored procedures, one method each. Nothing else in the package sends SQL to the schema `resolver`."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.rows import args_row, scalar_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from .. import failpoints
from .connections import disconnect, patience
from .errors import is_transient, translated

Verb = Literal["load", "resolve", "build"]
VERBS: tuple[Verb, ...] = ("load", "resolve", "build")
OnlyKind = Literal["local", "prefer-local"]
ONLY_KINDS: tuple[OnlyKind, ...] = ("local", "prefer-local")

CONNECTION_SECONDS = 5.0
"""How long one try of a call waits for a connection."""
RETRY_SECONDS = 30.0
"""How long a call is repeated while the database can't be reached."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A derivation that was claimed, and what the verb needs to know. Paths are base names."""

    lease: int
    drv: str
    build: int | None
    stepnr: int | None
    root: bool
    inputs: Any
    known: dict[str, str]
    max_silent: int | None
    timeout: int | None


class Answer(NamedTuple):
    """What became of one report: done, retried, already, lease_lost, refused, stale, confirm; and words or paths."""

    lease: int
    outcome: str
    detail: str | None


class Procedures:
    """Calls the procedures, each in a transaction of its own, over a small pool of connections.

    A call is repeated while the database restarts or can't be reached, for at most `RETRY_SECONDS`: reports may be sent
    twice. Raises the classes of `errors` for what the procedures refuse, `psycopg.Error` for all else.
    """

    def __init__(self, conninfo: str, *, connections: int = 4) -> None:
        self.conninfo = conninfo
        self._stopping = threading.Event()
        self._patience_ends = float("inf")
        self._calls: dict[object, tuple[psycopg.Connection[Any], float]] = {}
        """The calls that wait for an answer: over which connection, and since when (monotonic)."""
        self._pool = ConnectionPool(
            conninfo,
            min_size=1,
            max_size=connections,
            kwargs={**patience(conninfo), "autocommit": True, "application_name": "hydra-resolver"},
            open=False,
            timeout=CONNECTION_SECONDS,
        )
        self._pool.open()

    def close(self) -> None:
        """Close all connections; calls that are being repeated give up."""
        self._stopping.set()
        self._pool.close()

    def hurry(self, seconds: float) -> None:
        """From now on, calls are repeated for no longer than this."""
        self._patience_ends = time.monotonic() + seconds

    def break_off(self, seconds: float) -> None:
        """End the calls that have waited longer for an answer: they are repeated over new connections.

        A connection to a database that is out of reach may look well for hours.
        """
        newest = time.monotonic() - seconds
        for connection, began in list(self._calls.values()):
            if began < newest:
                disconnect(connection)

    def register_worker(
        self,
        *,
        name: str,
        verbs: Sequence[str],
        systems: Sequence[str],
        features: Sequence[str],
        store_directory: str,
        store_identity: str,
        jobs: int | None = None,
        builders: Sequence[Mapping[str, Any]] = (),
        feature_limits: Mapping[str, int] | None = None,
        only_kind: OnlyKind | None = None,
    ) -> int:
        """Introduce a worker, with what it takes; returns its number. Raises OtherStoreError."""
        words: list[Any] = [name, list(verbs), list(systems), list(features), store_directory, store_identity]
        words += [jobs, Jsonb(builders), Jsonb(dict(feature_limits or {})), only_kind]
        return int(self._value("register_worker", *words))

    def step_runs(self, lease: int, machine: str) -> bool:
        """Say which machine builds what was claimed; false when the claim is over."""
        return bool(self._value("step_runs", lease, machine))

    def lease_seconds(self) -> float:
        """How long a worker may be silent."""
        return float(self._value("lease_time").total_seconds())

    def worker_left(self, worker: int) -> None:
        """Say goodbye; claims are released."""
        self._value("worker_left", worker)

    def claim(self, worker: int, verb: Verb, limit: int) -> list[Claim]:
        """Claim up to `limit` derivations. Raises WorkerGoneError.

        Not repeated: after an error, release what may have been claimed (`release_other_claims`).
        """
        try:
            return self._once("claim_derivations", [worker, verb, limit], args_row(Claim))
        except psycopg.Error as error:
            raise translated(error) from error

    def release_claims(self, worker: int, leases: Sequence[int], reason: str) -> None:
        """Give claims back without a result."""
        self._value("release_claims", worker, list(leases), reason)

    def release_other_claims(self, worker: int, verb: Verb, held: Sequence[int]) -> None:
        """Give back claims of a verb that the worker does not know of, since the answer to the claim was lost."""
        self._value("release_other_claims", worker, verb, list(held))

    def register_derivations(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report what load found."""
        return self._answers("register_derivations", reports)

    def set_resolved_to(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report what derivations resolve to."""
        return self._answers("set_resolved_to", reports)

    def finish_steps(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report builds that succeeded."""
        return self._answers("finish_steps", reports)

    def fail_steps(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report builds that failed."""
        return self._answers("fail_steps", reports)

    def withdraw_outputs(self, paths: Sequence[str]) -> int:
        """Say that store paths are gone; returns how many of them had been served."""
        return int(self._value("withdraw_outputs", list(paths)))

    def sync_builds(self) -> bool:
        """Make goals match Hydra's builds; true when there is more."""
        return bool(self._value("sync_builds"))

    def advance(self) -> bool:
        """Do a part of what was put off; true when there is more."""
        return bool(self._value("advance"))

    def sweep(self) -> int:
        """Take back the claims of dead workers; returns how many."""
        return int(self._value("sweep"))

    def has_work(self, worker: int) -> bool:
        """Whether anything is going on, or can be done by this worker."""
        return bool(self._value("has_work", worker))

    def unneeded_roots(self, names: Sequence[str]) -> list[str]:
        """Which of these roots (base names of store paths) nobody needs any more."""
        return list(self._value("unneeded_roots", list(names)))

    def output_paths(self, drv: str) -> dict[str, str]:
        """Valid outputs of a derivation, by name. Base names."""
        return dict(self._value("output_paths", drv))

    def enqueue(
        self,
        *,
        project: str,
        jobset: str,
        file: str,
        jobs: Sequence[Mapping[str, Any]],
        errors: str | None,
        retry: bool,
    ) -> list[int]:
        """Add an evaluation with new builds; returns the builds in the order of `jobs`."""
        try:
            answer = self._once("enqueue", [project, jobset, file, Jsonb(jobs), errors, retry], scalar_row)
        except psycopg.Error as error:
            raise translated(error) from error
        return list(answer[0])

    def restart_build(self, build: int) -> None:
        """Restart a finished build. Raises NoSuchBuildError."""
        self._value("restart_build", build)

    def cancel_build(self, build: int) -> None:
        """Cancel an unfinished build. Raises NoSuchBuildError."""
        self._value("cancel_build", build)

    def all_finished(self, builds: Sequence[int]) -> bool:
        """Whether all of these builds are finished in Hydra's tables."""
        return bool(self._value("all_finished", list(builds)))

    def status(self) -> dict[str, Any]:
        """Derivations by stage, running steps, workers, unfinished builds and what holds them up."""
        return dict(self._value("status"))

    def build_report(self, build: int) -> dict[str, Any] | None:
        """A build with its outputs and steps; null when there is none."""
        answer = self._value("build_report", build)
        return None if answer is None else dict(answer)

    def _answers(self, procedure: str, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        return self._repeated(procedure, [Jsonb(reports)], args_row(Answer)) if reports else []

    def _value(self, procedure: str, *parameters: Any) -> Any:
        return self._repeated(procedure, parameters, scalar_row)[0]

    def _repeated(self, procedure: str, parameters: Sequence[Any], rows: Any) -> list[Any]:
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._once(procedure, parameters, rows)
            except (psycopg.Error, PoolTimeout) as error:
                late = time.monotonic() > min(deadline, self._patience_ends)
                if not (isinstance(error, PoolTimeout) or is_transient(error)) or late:
                    raise (translated(error) if isinstance(error, psycopg.Error) else error) from error
                if self._stopping.wait(random.uniform(0.1, 0.5)):
                    raise

    def _once(self, procedure: str, parameters: Sequence[Any], rows: Any) -> list[Any]:
        statement = f"select * from resolver.{procedure}({', '.join(['%s'] * len(parameters))})"
        failpoints.reach(f"before {procedure}")
        with (
            self._pool.connection(self._wait()) as connection,
            connection.cursor(row_factory=rows) as cursor,
            self._under_way(connection),
        ):
            try:
                answer = cursor.execute(statement.encode(), parameters).fetchall()
            except psycopg.errors.ReadOnlySqlTransaction:
                connection.close()  # a session stays read-only, though the database may not
                raise
        failpoints.reach(f"after {procedure}")
        return answer

    @contextmanager
    def _under_way(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        call = object()
        self._calls[call] = connection, time.monotonic()
        try:
            yield
        finally:
            del self._calls[call]

    def _wait(self) -> float:
        """How long to wait for a connection, at least a moment."""
        return max(0.5, min(CONNECTION_SECONDS, self._patience_ends - time.monotonic()))
