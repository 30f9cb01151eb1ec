"""Reports of load and resolve: they are sent to the database, and each answer becomes an event."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from ..database.errors import is_about_content
from ..database.procedures import Answer, Claim, Verb
from ..verbs.context import Withdraw
from ..verbs.load import Report
from ..verbs.resolve import confirm
from .batches import Batches, in_parts
from .connection import RenewedClient
from .unexpected import OF_ALL_CLAIMS, failed_report, tell_unexpected
from .worker_state import WorkerState


class GraphReports:
    """Reports of one verb; `held` has their claims, by lease.

    Methods raise psycopg.Error, StoreError, OSError: then all reports may be sent once more, or their claims released.
    An error of one report alone turns this report into a failure.
    """

    def __init__(self, shared: WorkerState, verb: Verb, held: Mapping[int, Claim], withdraw: Withdraw) -> None:
        self._shared = shared
        self._verb = verb
        self._held = held
        self._withdraw = withdraw
        self._batches = Batches()
        self.hits = False
        """Whether the last resolved derivation was realised already."""

    def send(self, parts: Sequence[Sequence[Report]], connection: RenewedClient) -> None:
        """Report, in batches that hold the graph lock briefly; `connection` is for outputs to be confirmed."""
        for batch in self._batches.of(parts):
            self._send(batch, connection)

    def _send(self, batch: Sequence[Report], connection: RenewedClient) -> None:
        try:
            self._send_together(batch, connection)
        except psycopg.Error as error:
            if not is_about_content(error):
                raise
            if len(batch) > 1:
                for report in batch:
                    self._send([report], connection)
                return
            lease = batch[0]["lease"]
            if lease is None:  # it was read ahead: its own claim will fail later
                return
            drv = self._held[lease].drv
            self._shared.observer.event("database_error", verb=self._verb, drv=drv, message=str(error))
            if "failed" in batch[0]:
                self._give_back(lease, str(error))
            else:
                self._send([failed_report(lease, drv, error)], connection)

    def _send_together(self, batch: Sequence[Report], connection: RenewedClient) -> None:
        procedures = self._shared.procedures
        if self._verb == "load":
            batch = [self._without_first_parts(report) for report in batch]
            began = time.monotonic()
            answers = procedures.register_derivations(batch)
            self._batches.took(batch, time.monotonic() - began)
        else:
            answers = self._shared.report("set_resolved_to", batch, then="build")
        self._tell(batch, answers)
        for answer in answers:
            if answer.outcome == "confirm":
                self.hits = True
                report = next(report for report in batch if report["lease"] == answer.lease)
                if report["resolved"].get("written", True):
                    self._confirm(report, answer, connection)
                else:
                    self._give_back(answer.lease, "the resolved derivation has lost an output")
            elif answer.outcome == "refused" and answer.lease is not None:
                self._give_back(answer.lease, f"the report was refused: {answer.detail}")

    def _without_first_parts(self, report: Report) -> Report:
        """Send all but the last part of very many inputs, each by itself: each holds the graph lock briefly."""
        *parts, last = in_parts(report)
        for part in parts:
            self._shared.procedures.register_derivations([part])
        return last

    def _confirm(self, report: Report, answer: Answer, connection: RenewedClient) -> None:
        claim, recorded = self._held[answer.lease], json.loads(answer.detail or "{}")
        try:
            confirmed = confirm(self._shared.context, connection.get(), claim, report, recorded, self._withdraw)
        except OF_ALL_CLAIMS:
            raise
        except Exception as error:
            tell_unexpected(self._shared.observer, self._verb, claim.drv, error)
            confirmed = failed_report(answer.lease, claim.drv, error)
        (again,) = self._shared.procedures.set_resolved_to([confirmed])
        self._tell([confirmed], [again])
        if again.outcome in ("confirm", "refused"):
            self._give_back(again.lease, "other outputs of the resolved derivation were recorded meanwhile")

    def _give_back(self, lease: int, reason: str) -> None:
        self._shared.procedures.release_claims(self._shared.worker, [lease], reason, attempted=True)

    def _tell(self, reports: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> None:
        by_lease = {report["lease"]: report for report in reports}
        for answer in answers:
            report = by_lease[answer.lease]
            self._shared.observer.event(
                "loaded" if self._verb == "load" else "resolved",
                drv=claim.drv if (claim := self._held.get(answer.lease)) else None,
                resolved=(report.get("resolved") or {}).get("drv"),
                known=_is_known(report),
                outcome="failed" if "failed" in report and answer.outcome == "done" else answer.outcome,
                message=report["failed"]["message"] if "failed" in report else answer.detail,
            )


def _is_known(report: Mapping[str, Any]) -> bool:
    """Return whether all outputs of the loaded or resolved derivation are valid: there is nothing to build."""
    found = report if "outputs" in report else report.get("resolved") or {}
    outputs = found.get("outputs", [])
    return bool(found.get("confirmed")) or (bool(outputs) and all(output["valid"] for output in outputs))
