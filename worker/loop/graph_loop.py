"""Load and resolve: one thread claims and asks Nix, another one reports what the first has done so far."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import psycopg

from ..database.errors import WorkerGoneError
from ..database.procedures import Answer, Claim, Verb
from ..nix.errors import StoreError
from ..verbs.load import Report, load
from ..verbs.resolve import confirm, resolve
from .batches import Batches
from .claims import Claims
from .connection import RenewedClient
from .shared import POLL_SECONDS, Shared

BATCH = 50
"""Claims taken together: enough for Nix to be kept busy, few enough for the graph lock to be held briefly."""
UNREPORTED = 8
"""Parts of batches that may wait to be reported, before no more are done."""


class GraphLoop:
    """Does one of the verbs load and resolve until the worker stops."""

    def __init__(self, shared: Shared, verb: Verb) -> None:
        self.name = verb
        self._shared = shared
        self._verb = verb
        self._connection = RenewedClient(shared.context.store)
        self._done: queue.Queue[list[Report] | None] = queue.Queue(UNREPORTED)
        self._held: dict[int, Claim] = {}
        """What is claimed, by lease, until it is reported or given back."""
        self._batches = Batches()
        self._hits = False
        """Whether what was resolved last was realised already."""
        self._more = False
        """Whether there was more than could be claimed last time."""
        self._claimed: queue.SimpleQueue[Claim] = queue.SimpleQueue()
        self._claims = shared.claims[verb] = Claims(shared.procedures, verb, self)

    def run(self) -> None:
        """Claim and do; sleep while there is nothing to claim."""
        shared = self._shared
        wake = shared.wake[self._verb]
        reporter = threading.Thread(target=self._run_reporter, name=f"{self._verb}-reporter")
        reporter.start()
        try:
            shared.let_load_begin(self._verb)
            with suppress(StoreError, OSError):  # the first claim tells of it
                self._connection.get()
            wake.wait(POLL_SECONDS)
            while not shared.stopping.is_set():
                wake.clear()
                if not self._one_round():
                    wake.wait(POLL_SECONDS)
        finally:
            self._done.put(None)
            reporter.join()
            self._connection.close()

    def room(self) -> int:
        """How many more claims are welcome now: none while there are some that nobody has begun with."""
        if self._shared.stopping.is_set() or not self._claimed.empty():
            return 0
        return max(0, BATCH - len(self._held))

    def take(self, claims: Sequence[Claim], room: int) -> None:
        """Hold what was claimed, perhaps by another thread."""
        self._more = len(claims) == room
        self._shared.take_in_hand(len(claims))
        self._held.update({claim.lease: claim for claim in claims})
        for claim in claims:
            self._claimed.put(claim)
        if claims:
            self._shared.wake[self._verb].set()

    def held(self) -> list[int]:
        """Leases of what was claimed and not yet reported."""
        return list(self._held)

    def _one_round(self) -> bool:
        """Whether there may be more to do at once."""
        shared = self._shared
        try:
            if self._claimed.empty():
                self._claims.make(shared.worker)
        except WorkerGoneError:
            return False  # the heartbeat registers anew
        except psycopg.Error as error:
            self._database_failed(error)
            shared.stopping.wait(0.5)
            return False
        claims = [self._claimed.get() for _ in range(self._claimed.qsize())]
        if not claims:
            return False
        self._do(claims)
        if self._verb == "load":
            self._done.join()  # what was read ahead is not to be claimed as well
        # What was loaded makes more to load; what was resolved makes nothing to resolve.
        return self._verb == "load" or self._more

    def _do(self, claims: Sequence[Claim]) -> None:
        """Hand over reports as they come. What was not got to, because of an error, is given back."""
        shared = self._shared
        left = {claim.lease for claim in claims}
        try:
            for reports in self._reports(claims):
                left -= {report["lease"] for report in reports}
                self._done.put(reports)
            shared.store_trouble = None
        except (StoreError, OSError) as error:
            self._give_back(left, str(error))
            shared.store_failed(self._verb, error)
        except psycopg.Error as error:
            self._database_failed(error, left)
        finally:
            self._forget(left)

    def _reports(self, claims: Sequence[Claim]) -> Iterator[list[Report]]:
        context, client = self._shared.context, self._connection.get()
        if self._verb == "load":
            return load(context, client, claims, self._withdraw)
        return resolve(context, client, claims, self._known_outputs, self._withdraw)

    def _known_outputs(self, drvs: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Asked for while there are hits; the first of many is found when it is reported. Most often there is none."""
        known = self._shared.procedures.known_outputs(drvs) if self._hits else {}
        self._hits = bool(known)
        return known

    def _withdraw(self, paths: Iterable[str]) -> int:
        return self._shared.procedures.withdraw_outputs(list(paths))

    def _give_back(self, leases: Collection[int], reason: str) -> None:
        try:
            self._shared.procedures.release_claims(self._shared.worker, list(leases), reason)
        except psycopg.Error as error:
            self._database_failed(error, leases)

    def _forget(self, leases: Iterable[int]) -> None:
        self._shared.take_in_hand(-sum(self._held.pop(lease, None) is not None for lease in leases))

    def _database_failed(self, error: Exception, leases: Iterable[int] = ()) -> None:
        self._forget(leases)  # before they are looked for
        self._claims.some_may_be_lost()
        self._shared.observer.event("database_error", verb=self._verb, message=str(error))

    def _run_reporter(self) -> None:
        with closing(RenewedClient(self._shared.context.store)) as connection:
            parts: list[list[Report] | None] = []
            while None not in parts:
                parts = [self._done.get()]
                while not self._done.empty():
                    parts.append(self._done.get())
                done = [part for part in parts if part is not None]
                leases = [report["lease"] for part in done for report in part]
                try:
                    self._report(done, connection)
                except psycopg.Error as error:
                    self._database_failed(error, leases)
                except (StoreError, OSError) as error:
                    self._give_back(leases, str(error))
                except Exception as error:
                    self._shared.fail(error)
                finally:
                    self._forget(leases)
                    if self._more:
                        self._shared.wake[self._verb].set()
                    for _ in parts:
                        self._done.task_done()

    def _report(self, parts: Sequence[Sequence[Report]], connection: RenewedClient) -> None:
        procedures = self._shared.procedures
        for batch in self._batches.of(parts):
            if self._verb == "load":
                began = time.monotonic()
                answers = procedures.register_derivations(batch)
                self._batches.took(batch, time.monotonic() - began)
                self._tell(batch, answers)
                continue
            answers = self._shared.report("set_resolved_to", batch, then="build")
            self._tell(batch, answers)
            for answer in answers:
                if answer.outcome == "confirm":
                    self._hits = True
                    report = next(report for report in batch if report["lease"] == answer.lease)
                    if report["resolved"].get("written", True):
                        self._confirm(report, answer, connection)
                    else:
                        self._give_back([answer.lease], "what it resolves to lacks an output by now")

    def _confirm(self, report: Report, answer: Answer, connection: RenewedClient) -> None:
        claim, recorded = self._held[answer.lease], json.loads(answer.detail or "{}")
        confirmed = [confirm(self._shared.context, connection.get(), claim, report, recorded, self._withdraw)]
        self._tell(confirmed, self._shared.procedures.set_resolved_to(confirmed))

    def _tell(self, reports: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> None:
        by_lease = {report["lease"]: report for report in reports}
        for answer in answers:
            report = by_lease[answer.lease]
            self._shared.observer.event(
                "loaded" if self._verb == "load" else "resolved",
                drv=claim.drv if (claim := self._held.get(answer.lease)) else None,
                resolved=(report.get("resolved") or {}).get("drv"),
                known=_is_known(report),
                outcome="failed" if "failed" in report else answer.outcome,
                message=report["failed"]["message"] if "failed" in report else answer.detail,
            )


def _is_known(report: Mapping[str, Any]) -> bool:
    """Whether all outputs of what was loaded, or resolved to, were found to be valid: there is nothing to build."""
    found = report if "outputs" in report else report.get("resolved") or {}
    outputs = found.get("outputs", [])
    return bool(found.get("confirmed")) or (bool(outputs) and all(output["valid"] for output in outputs))
