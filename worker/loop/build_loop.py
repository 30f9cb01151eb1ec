"""The verb build: claims go to slots, each with its own connection to Nix; results are reported together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

import psycopg

from ..database.errors import DatabaseError, WorkerGoneError, is_transient
from ..database.procedures import Claim
from ..nix.errors import NixError, StoreError
from ..step_status import HydraStatus, StepFailure
from ..verbs.build import Outcome, build, cancelled, interrupted
from .build_reports import report
from .claims import Claims
from .slots import Slot, SlotGivenUp, Slots
from .unexpected import failure_by, tell_unexpected
from .worker_state import PAUSE_SECONDS, POLL_SECONDS, WorkerState

AHEAD_SECONDS = 0.1
"""Builds are claimed about this long ahead of time, and a report of success waits about as long for other reports."""
MOST_AHEAD = 50
MOST_REPORTED = 50
"""The most results in one report."""
MOST_TOGETHER = 100
"""The most derivations in one claim, which holds the graph lock."""


class BuildLoop:
    """Does the verb build until the worker stops; `abort` ends builds early."""

    name = "build"

    def __init__(self, shared: WorkerState) -> None:
        self._shared = shared
        self._done: queue.SimpleQueue[tuple[Claim, Outcome] | None] = queue.SimpleQueue()
        self._slots = Slots(shared, self._do)
        self._held: dict[int, Claim] = {}
        """Claims that are being built or wait for a slot, by lease."""
        self._aborted: dict[int, bool] = {}
        """Leases of held claims that must not be built any more; the value: no build needs the derivation."""
        self._unreported: set[int] = set()
        """Leases of held claims, and of ended builds that the database does not know yet."""
        self._lock = threading.Lock()
        self._built = 0
        self._seconds = 1.0
        """Average duration of the last few builds; a guess before the first build has ended."""
        self._more = False
        self._claims = shared.claims["build"] = Claims(shared.procedures, "build", self)

    def run(self) -> None:
        """Claim for free slots; sleep if there is nothing to claim."""
        shared = self._shared
        reporter = threading.Thread(target=self._run_reporter, name="build-reporter")
        reporter.start()
        wake = shared.wake["build"]
        wake.wait(POLL_SECONDS)
        while not shared.stopping.is_set():
            wake.clear()
            self._slots.fill()
            if not self._claim():
                wake.wait(POLL_SECONDS)
        self._slots.end()
        self._done.put(None)
        reporter.join()

    def abort(self, leases: Collection[int] | None = None) -> None:
        """End the builds of these leases, which are not needed any more, or all builds, including those without a slot.

        Unneeded builds are reported as cancelled; if all builds are ended, their claims are released.
        """
        with self._lock:
            ended = {lease for lease in self._held if leases is None or lease in leases} - self._aborted.keys()
            self._aborted |= dict.fromkeys(ended, leases is not None)
        for slot in self._slots.all():
            claim = slot.claim
            if claim is not None and claim.lease in ended:
                self._shared.observer.event("aborting", drv=claim.drv)
                slot.connection.abort()

    def room(self) -> int:
        """Return the number of claims that are welcome now; 0 if there are too few to justify a claim."""
        slots = self._slots.most
        ahead = min(MOST_AHEAD, int(slots * AHEAD_SECONDS / self._seconds))
        with self._lock:
            free = slots + ahead - len(self._held)
        if free <= ahead / 2 or self._shared.overdue or self._shared.stopping.is_set():
            self._more = True
            return 0
        return min(free, MOST_TOGETHER)

    def take(self, claims: Sequence[Claim], room: int) -> None:
        """Hold claims, perhaps made by another thread."""
        self._shared.add_claims(len(claims))
        with self._lock:
            self._held.update({claim.lease: claim for claim in claims})
            self._unreported.update(claim.lease for claim in claims)
        self._more = len(claims) == room
        self._slots.add(claims)

    def held(self) -> list[int]:
        """Return the leases of claims that are not reported yet."""
        with self._lock:
            return list(self._unreported)

    def _claim(self) -> bool:
        """Claim; return whether more may be claimed at once."""
        shared = self._shared
        try:
            return bool(self._claims.make(shared.worker)) and self._more
        except WorkerGoneError:
            return False  # the heartbeat registers the worker again
        except psycopg.Error as error:
            shared.observer.event("database_error", verb="build", message=str(error))
            shared.stopping.wait(PAUSE_SECONDS)
            return False

    def _do(self, slot: Slot, claim: Claim) -> None:
        """Build in the thread of a slot, and queue the report. Raises SlotGivenUp: another slot has to build it."""
        try:
            outcome = self._build(slot, claim)
        except SlotGivenUp:
            raise
        except Exception as error:
            outcome = Outcome(None, reason=f"the worker failed: {error}", is_counted=False)
            self._shared.fail(error)
        with self._lock:
            self._held.pop(claim.lease, None)
            unwanted = self._aborted.pop(claim.lease, False)
        if unwanted and outcome.report is None:
            outcome = cancelled(self._shared.context, claim)
        self._done.put((claim, outcome))
        if self._more:
            self._shared.wake["build"].set()

    def _why_not(self, claim: Claim) -> str | None:
        """Return the reason why a claim must not be built, or not any further."""
        if self._shared.stopping.is_set():
            return "the worker stops"
        if claim.lease in self._aborted:
            return "the build was aborted"
        return "the database is out of reach" if self._shared.overdue else None

    def _build(self, slot: Slot, claim: Claim) -> Outcome:
        shared = self._shared
        if reason := self._why_not(claim):
            return Outcome(None, reason=reason, is_counted=False)
        shared.observer.event("building", drv=claim.drv, build=claim.build, stepnr=claim.stepnr)
        began = time.monotonic()
        try:
            outcome = self._attempt(slot, claim)
        except psycopg.Error as error:
            return Outcome(None, reason=f"the build was interrupted: {error}")
        except (StoreError, OSError) as error:
            if slot.connection.aborted:
                return Outcome(None, reason=f"the build was interrupted: {error}", is_counted=False)
            slot.connection.close()
            failure = StepFailure(HydraStatus.ABORTED, "transient", f"the build was interrupted: {error}")
            return interrupted(shared.context, claim, failure)
        except (DatabaseError, SlotGivenUp):
            raise
        except Exception as error:
            slot.connection.close()
            tell_unexpected(shared.observer, "build", claim.drv, error)
            return interrupted(shared.context, claim, failure_by(error))
        with self._lock:
            self._built += 1
            self._seconds += (time.monotonic() - began - self._seconds) / min(self._built, 8)
        return outcome

    def _attempt(self, slot: Slot, claim: Claim) -> Outcome:
        """Build; if Nix complains of a path in its way that can be deleted, delete the path and build again."""
        shared = self._shared
        deleted: frozenset[str] = frozenset()
        while True:
            try:
                client = self._slots.connect(slot)
            except (StoreError, OSError) as error:
                shared.store_failed("build", error)
                return Outcome(None, reason=f"the store can't be reached: {error}", is_counted=False)
            reason = self._why_not(claim)  # from here on abort() finds the connection
            if client is None or reason is not None:
                return Outcome(None, reason=reason or "", is_counted=False)
            outcome = build(
                shared.context,
                client,
                claim,
                lambda paths: shared.procedures.invalidate_paths(list(paths)),
                lambda machine: self._runs(claim, machine),
            )
            shared.store_trouble = None
            if not outcome.blocking_paths - deleted:
                return outcome
            shared.observer.event("deleting", drv=claim.drv, paths=" ".join(outcome.blocking_paths))
            slot.connection.close()  # after this failure Nix may have ended the connection
            try:
                slot.connection.get().delete_paths(outcome.blocking_paths)
            except NixError as error:  # another derivation may be using the path
                return outcome if outcome.report else replace(outcome, reason=f"{outcome.reason}: {error}")
            deleted |= outcome.blocking_paths

    def _runs(self, claim: Claim, machine: str) -> None:
        """Report the machine that builds; without remote builders, the claim has reported it already."""
        if self._shared.abilities.builders:
            try:
                self._shared.procedures.record_step_start(claim.lease, machine)
            except psycopg.Error as error:  # the report repeats it
                self._shared.observer.event("database_error", verb="build", message=str(error))

    def _run_reporter(self) -> None:
        while (first := self._done.get()) is not None:
            ended = [first, *self._wait_for_more()]
            lost: Exception | None = None
            try:
                lost = self._report(ended)
            except Exception as error:
                self._shared.fail(error)
            with self._lock:
                self._unreported.difference_update(claim.lease for claim, _ in ended)
            if lost is not None:
                self._claims.some_may_be_lost()
                self._shared.observer.event("database_error", verb="build", message=str(lost))
            self._shared.add_claims(-len(ended))

    def _report(self, ended: Sequence[tuple[Claim, Outcome]]) -> psycopg.Error | None:
        """Report; return the database's error if it did not take all reports."""
        try:
            report(self._shared, ended)
        except psycopg.Error as error:
            if not is_transient(error):  # else the next claim finds the outputs valid
                self._give_back([claim for claim, _ in ended], error)
            return error
        return None

    def _give_back(self, claims: Collection[Claim], error: psycopg.Error) -> None:
        """Release claims whose reports the database did not take, and pause: an immediate retry would fail, too."""
        shared = self._shared
        with suppress(psycopg.Error):  # then the next claim releases them
            shared.procedures.release_claims(shared.worker, [claim.lease for claim in claims], str(error))
        shared.stopping.wait(PAUSE_SECONDS)

    def _wait_for_more(self) -> list[tuple[Claim, Outcome]]:
        """Return other ended builds; if builds are short, wait a moment for more: one report for all is cheaper."""
        ended: list[tuple[Claim, Outcome]] = []
        patience = AHEAD_SECONDS / 2 if self._seconds < AHEAD_SECONDS / 2 else 0.0
        deadline = time.monotonic() + patience
        while len(ended) < MOST_REPORTED and (self._held or not self._done.empty()):
            try:
                item = self._done.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if item is None:
                self._done.put(None)
                break
            ended.append(item)
        return ended
