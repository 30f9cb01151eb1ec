"""The stored procedures that workers call, one method each.

Only this module and `records` send SQL to the schema `resolver`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.rows import args_row, scalar_row, tuple_row
from psycopg.types.json import Jsonb

from .calls import Calls, statement_of
from .errors import translated

Verb = Literal["load", "resolve", "build"]
VERBS: tuple[Verb, ...] = ("load", "resolve", "build")
ReportOf = Literal["register_derivations", "set_resolved_to", "finish_steps", "fail_steps"]
OnlyKind = Literal["local", "prefer-local"]
ONLY_KINDS: tuple[OnlyKind, ...] = ("local", "prefer-local")


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed derivation, and the data that the verb needs. Paths are base names."""

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
    """The outcome of a report: done, retried, already, lease_lost, refused, stale, confirm; `detail`: text or paths."""

    lease: int
    outcome: str
    detail: str | None


class Procedures(Calls):
    """Each method calls a procedure, and raises as :class:`Calls` says."""

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
        """Register a worker, with the systems and features it builds; return its number. Raises OtherStoreError."""
        words: list[Any] = [name, list(verbs), list(systems), list(features), store_directory, store_identity]
        words += [jobs, Jsonb(builders), Jsonb(dict(feature_limits or {})), only_kind]
        return int(self._value("register_worker", *words))

    def record_step_start(self, lease: int, machine: str) -> bool:
        """Report the machine that builds a claimed derivation; False: the claim is over."""
        return bool(self._value("record_step_start", lease, machine))

    def lease_seconds(self) -> float:
        """Return how long a worker may be silent."""
        return float(self._value("lease_time").total_seconds())

    def deregister_worker(self, worker: int) -> None:
        """Report that the worker ends; its claims are released."""
        self._value("deregister_worker", worker)

    def report_dead_workers(self, workers: Sequence[int]) -> int:
        """Report that the processes of these workers have ended; return the number of claims that were taken back."""
        return int(self._value("report_dead_workers", list(workers)))

    def claim(self, worker: int, verb: Verb, limit: int) -> list[Claim]:
        """Claim up to `limit` derivations. Raises WorkerGoneError.

        There is no retry: after an error, release claims that may have been made (`release_other_claims`).
        """
        try:
            claims = self._once("claim_derivations", [worker, verb, limit], args_row(Claim))
            return [self._complete(claim, verb) for claim in claims]
        except psycopg.Error as error:
            raise translated(error) from error

    def report_and_claim(
        self, procedure: ReportOf, reports: Sequence[Mapping[str, Any]], worker: int, verb: Verb, limit: int
    ) -> tuple[list[Answer], list[Claim]]:
        """Report, and claim in one transaction, usually work that the report has made ready. Raises WorkerGoneError.

        There is no retry: after an error, report once more, and release claims that may have been made.
        """
        report, claim = (
            statement_of(procedure, [Jsonb(reports)]),
            statement_of("claim_derivations", [worker, verb, limit]),
        )
        try:
            with self._calling(procedure, verb) as connection:
                answers, claims = (
                    connection.cursor(row_factory=args_row(Answer)),
                    connection.cursor(row_factory=args_row(Claim)),
                )
                with connection.pipeline():  # one transaction, one round trip
                    answers.execute(*report)
                    claims.execute(*claim)
                answered, claimed = answers.fetchall(), claims.fetchall()
            return answered, [self._complete(claim, verb) for claim in claimed]
        except psycopg.Error as error:
            raise translated(error) from error

    def _complete(self, claim: Claim, verb: Verb) -> Claim:
        """Return the claim with its inputs: the database leaves out many inputs, to hold the graph lock briefly."""
        if claim.inputs is not None or verb == "load":
            return claim
        return replace(claim, inputs=self._value("claimed_inputs", claim.lease))

    def release_claims(self, worker: int, leases: Sequence[int], reason: str, *, attempted: bool = False) -> None:
        """Release claims without a result. `attempted`: each counts as an attempt at its derivation."""
        self._value("release_claims", worker, list(leases), reason, attempted)

    def release_other_claims(self, worker: int, verb: Verb, held: Sequence[int]) -> None:
        """Release claims of a verb that the worker does not know, since the answer to the claim was lost."""
        self._value("release_other_claims", worker, verb, list(held))

    def report(self, procedure: ReportOf, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report the results of claims, by this procedure."""
        return self._repeated(procedure, [Jsonb(reports)], args_row(Answer)) if reports else []

    def register_derivations(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report loaded derivations."""
        return self.report("register_derivations", reports)

    def known_outputs(self, drvs: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return valid outputs of these derivations, for derivations with recorded outputs. Base names."""
        rows = self._repeated("known_outputs", [list(drvs)], tuple_row) if drvs else []
        return {drv: outputs for drv, outputs, _ in rows if outputs}

    def set_resolved_to(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report resolutions."""
        return self.report("set_resolved_to", reports)

    def finish_steps(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report builds that succeeded."""
        return self.report("finish_steps", reports)

    def fail_steps(self, reports: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Report builds that failed."""
        return self.report("fail_steps", reports)

    def invalidate_paths(self, paths: Sequence[str]) -> int:
        """Report that store paths are lost; return how many of them were in force."""
        return int(self._value("invalidate_paths", list(paths)))

    def sync_builds(self, *, all_builds: bool) -> bool:
        """Make goals match Hydra's builds, new ones or all of them; return whether more are left."""
        return bool(self._value("sync_builds", [], [], all_builds))

    def advance(self) -> bool:
        """Do a part of the postponed work; return whether more is left."""
        return bool(self._value("advance"))

    def sweep(self) -> int:
        """Take back the claims of dead workers; return their number."""
        return int(self._value("sweep"))

    def has_work(self, worker: int) -> bool:
        """Return whether any work is going on, or this worker can do some."""
        return bool(self._value("has_work", worker))

    def unneeded_roots(self, names: Sequence[str]) -> list[str]:
        """Return the roots (base names of store paths) among these that are not needed any more."""
        return list(self._value("unneeded_roots", list(names)))

    def output_paths(self, drv: str) -> dict[str, str]:
        """Return valid outputs of a derivation, by name. Base names."""
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
        """Add an evaluation with new builds; return the builds in the order of `jobs`."""
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
        """Return whether all of these builds are finished in Hydra's tables."""
        return bool(self._value("all_finished", list(builds)))

    def status(self) -> dict[str, Any]:
        """Return derivations by stage, running steps, workers, unfinished builds and the reasons why they wait."""
        return dict(self._value("status"))

    def queue_runner_status(self) -> dict[str, Any]:
        """Return the queue in the form of Hydra's own queue runner."""
        return dict(self._value("queue_runner_status"))

    def dump_status(self) -> None:
        """Answer the programs of Hydra that have asked for the status."""
        self._value("dump_status")

    def machines(self) -> dict[str, dict[str, Any]]:
        """Return machines by name: systems, features, mandatory features, jobs (or null), running steps."""
        return dict(self._value("machines"))

    def build_report(self, build: int) -> dict[str, Any] | None:
        """Return a build with its outputs and steps; `None` if it does not exist."""
        answer = self._value("build_report", build)
        return None if answer is None else dict(answer)
