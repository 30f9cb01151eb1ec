"""Load and resolve: claim some, do them together over one connection, report them together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from ..database.errors import WorkerGoneError
from ..database.procedures import Answer, Claim, Verb
from ..nix.errors import StoreError
from ..verbs.load import Report, load
from ..verbs.resolve import confirm, resolve
from .batches import in_batches
from .connection import RenewedClient
from .shared import POLL_SECONDS, Shared

BATCH = 50
"""Claims done together: enough for Nix to be kept busy, few enough for the graph lock to be held briefly."""


class GraphLoop:
    """Does one of the verbs load and resolve until the worker stops."""

    def __init__(self, shared: Shared, verb: Verb) -> None:
        self._shared = shared
        self._verb = verb
        self._connection = RenewedClient(shared.context.store)
        self._claim_was_lost = False

    def run(self) -> None:
        """Claim, do, report; sleep while there is nothing to claim."""
        shared = self._shared
        wake = shared.wake[self._verb]
        try:
            while not shared.stopping.is_set():
                wake.clear()
                if not self._one_round():
                    wake.wait(POLL_SECONDS)
        finally:
            self._connection.close()

    def _one_round(self) -> bool:
        shared = self._shared
        try:
            if self._claim_was_lost:
                shared.procedures.release_other_claims(shared.worker, self._verb, list(shared.held[self._verb]))
                self._claim_was_lost = False
            claims = shared.procedures.claim(shared.worker, self._verb, BATCH)
        except WorkerGoneError:
            return False  # the heartbeat registers anew
        except (psycopg.Error, PoolTimeout) as error:
            self._claim_was_lost = True
            shared.observer.event("database_error", verb=self._verb, message=str(error))
            shared.stopping.wait(0.5)
            return False
        if not claims:
            return False
        shared.take_in_hand(len(claims))
        leases = {claim.lease for claim in claims}
        shared.held[self._verb] |= leases
        try:
            self._try(claims)
        except (psycopg.Error, PoolTimeout) as error:
            self._claim_was_lost = True
            shared.observer.event("database_error", verb=self._verb, message=str(error))
        finally:
            shared.held[self._verb] -= leases
            shared.take_in_hand(-len(claims))
        # What was loaded makes more to load; what was resolved makes nothing to resolve.
        return self._verb == "load" or len(claims) == BATCH

    def _try(self, claims: Sequence[Claim]) -> None:
        shared = self._shared
        try:
            self._do(claims)
            shared.store_trouble = None
        except (StoreError, OSError) as error:
            shared.procedures.release_claims(shared.worker, [claim.lease for claim in claims], str(error))
            shared.store_failed(self._verb, error)

    def _do(self, claims: Sequence[Claim]) -> None:
        client = self._connection.get()
        context, procedures = self._shared.context, self._shared.procedures
        if self._verb == "load":
            self._tell(claims, load(context, client, claims), procedures.register_derivations)
            return
        reports = resolve(context, client, claims, lambda paths: procedures.withdraw_outputs(list(paths)))
        for answer in self._tell(claims, reports, procedures.set_resolved_to):
            if answer.outcome == "confirm":
                self._confirm(claims, {report["lease"]: report for report in reports}, answer)

    def _confirm(self, claims: Sequence[Claim], reports: dict[int, Report], answer: Answer) -> None:
        procedures = self._shared.procedures
        paths = sorted(json.loads(answer.detail or "{}").values())
        report = confirm(
            self._shared.context,
            self._connection.get(),
            reports[answer.lease],
            paths,
            lambda gone: procedures.withdraw_outputs(list(gone)),
        )
        self._tell([claim for claim in claims if claim.lease == answer.lease], [report], procedures.set_resolved_to)

    def _tell(
        self,
        claims: Sequence[Claim],
        reports: Sequence[Report],
        report_all: Callable[[Sequence[Mapping[str, Any]]], list[Answer]],
    ) -> list[Answer]:
        answers = [answer for batch in in_batches(reports) for answer in report_all(batch)]
        by_lease = {report["lease"]: report for report in reports}
        drvs = {claim.lease: claim.drv for claim in claims}
        for answer in answers:
            report = by_lease[answer.lease]
            self._shared.observer.event(
                "loaded" if self._verb == "load" else "resolved",
                drv=drvs[answer.lease],
                resolved=(report.get("resolved") or {}).get("drv"),
                known=_is_known(report),
                outcome="failed" if "failed" in report else answer.outcome,
                message=report["failed"]["message"] if "failed" in report else answer.detail,
            )
        return answers


def _is_known(report: Report) -> bool:
    """Whether all outputs of what was loaded, or resolved to, were found to be valid: there is nothing to build."""
    found = report if "outputs" in report else report.get("resolved") or {}
    outputs = found.get("outputs", [])
    return bool(found.get("confirmed")) or (bool(outputs) and all(output["valid"] for output in outputs))
