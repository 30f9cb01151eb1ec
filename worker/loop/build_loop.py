"""Build: claims go to slots, one connection to Nix each; what they did is reported together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

import psycopg
from psycopg_pool import PoolTimeout

from ..database.errors import WorkerGoneError
from ..database.procedures import Claim
from ..nix.errors import StoreError
from ..verbs.build import Outcome, build, interrupted
from .connection import RenewedClient
from .shared import POLL_SECONDS, Shared

AHEAD_SECONDS = 0.1
"""Builds for about this long are claimed ahead of time, and reports of success wait for each other about as long."""
MOST_AHEAD = 50


class _Slot:
    """One build at a time, over a connection of its own."""

    def __init__(self, shared: Shared) -> None:
        self.connection = RenewedClient(shared.context.store)
        self.claim: Claim | None = None
        self.aborted: int | None = None
        """The lease of the build that was last ended early."""


class BuildLoop:
    """Does the verb build until the worker stops; `abort` ends builds early."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._waiting: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Claim, Outcome] | None] = queue.SimpleQueue()
        self._slots = [_Slot(shared) for _ in range(shared.abilities.jobs)]
        self._held: dict[int, Claim] = {}
        self._lock = threading.Lock()
        self._seconds = 1.0
        self._more = False
        self._claim_was_lost = False

    def run(self) -> None:
        """Claim for free slots; sleep while there is nothing to claim."""
        shared = self._shared
        slots = [threading.Thread(target=self._run_slot, args=[slot], name="build-slot") for slot in self._slots]
        reporter = threading.Thread(target=self._run_reporter, name="build-reporter")
        for thread in [*slots, reporter]:
            thread.start()
        wake = shared.wake["build"]
        while not shared.stopping.is_set():
            wake.clear()
            if not self._claim():
                wake.wait(POLL_SECONDS)
        for _ in slots:
            self._waiting.put(None)
        for thread in slots:
            thread.join()
        self._done.put(None)
        reporter.join()

    def abort(self, leases: Sequence[int] | None = None) -> None:
        """End the running builds of these leases, or all. Their claims are released."""
        for slot in self._slots:
            claim = slot.claim
            if claim is not None and (leases is None or claim.lease in leases):
                self._shared.observer.event("aborting", drv=claim.drv)
                slot.aborted = claim.lease
                slot.connection.abort()

    def _claim(self) -> bool:
        shared = self._shared
        ahead = min(MOST_AHEAD, int(len(self._slots) * AHEAD_SECONDS / self._seconds))
        with self._lock:
            free = len(self._slots) + ahead - len(self._held)
        if free <= ahead / 2:
            self._more = True
            return False
        try:
            if self._claim_was_lost:
                shared.procedures.release_other_claims(shared.worker, "build", list(self._held))
                self._claim_was_lost = False
            claims = shared.procedures.claim(shared.worker, "build", free)
        except WorkerGoneError:
            return False  # the heartbeat registers anew
        except (psycopg.Error, PoolTimeout) as error:
            self._claim_was_lost = True
            shared.observer.event("database_error", verb="build", message=str(error))
            shared.stopping.wait(0.5)
            return False
        shared.take_in_hand(len(claims))
        with self._lock:
            self._held.update({claim.lease: claim for claim in claims})
        for claim in claims:
            self._waiting.put(claim)
        self._more = len(claims) == free
        return self._more

    def _run_slot(self, slot: _Slot) -> None:
        while (claim := self._waiting.get()) is not None:
            slot.claim = claim
            outcome = self._build(slot, claim)
            slot.claim = None
            with self._lock:
                self._held.pop(claim.lease, None)
            self._done.put((claim, outcome))
            if self._more:
                self._shared.wake["build"].set()
        slot.connection.close()

    def _build(self, slot: _Slot, claim: Claim) -> Outcome:
        shared = self._shared
        if shared.stopping.is_set():
            return Outcome(None, reason="the worker stops")
        shared.observer.event("building", drv=claim.drv, build=claim.build, stepnr=claim.stepnr)
        began = time.monotonic()
        try:
            client = slot.connection.get()
        except (StoreError, OSError) as error:
            shared.store_failed("build", error)
            return Outcome(None, reason=f"the store can't be reached: {error}")
        try:
            outcome = build(
                shared.context, client, claim, lambda paths: shared.procedures.withdraw_outputs(list(paths))
            )
        except (psycopg.Error, PoolTimeout) as error:
            return Outcome(None, reason=f"the build was interrupted: {error}")
        except (StoreError, OSError) as error:
            slot.connection.close()
            if slot.aborted == claim.lease:
                return Outcome(None, reason=f"the build was interrupted: {error}")
            return interrupted(claim, error)
        shared.store_trouble = None
        self._seconds += (time.monotonic() - began - self._seconds) / 8
        return outcome

    def _run_reporter(self) -> None:
        while (first := self._done.get()) is not None:
            ended = [first, *self._wait_for_more()]
            try:
                self._report(ended)
            except (psycopg.Error, PoolTimeout) as error:
                # The leases stay open until the sweep takes them back; then the outputs are found to be valid.
                self._claim_was_lost = True
                self._shared.observer.event("database_error", verb="build", message=str(error))
            finally:
                self._shared.take_in_hand(-len(ended))
            if "resolve" in self._shared.abilities.verbs:
                self._shared.wake["resolve"].set()  # most likely, and sooner than a notification

    def _wait_for_more(self) -> list[tuple[Claim, Outcome]]:
        """What else has ended, or ends within a moment while builds are short: one report for all is cheaper."""
        ended: list[tuple[Claim, Outcome]] = []
        patience = AHEAD_SECONDS / 2 if self._seconds < AHEAD_SECONDS / 2 else 0.0
        deadline = time.monotonic() + patience
        while self._held or not self._done.empty():
            try:
                item = self._done.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if item is None:
                self._done.put(None)
                break
            ended.append(item)
        return ended

    def _report(self, ended: Sequence[tuple[Claim, Outcome]]) -> None:
        procedures, observer = self._shared.procedures, self._shared.observer
        good = [outcome.report for _, outcome in ended if outcome.report is not None and outcome.succeeded]
        bad = [outcome.report for _, outcome in ended if outcome.report is not None and not outcome.succeeded]
        answers = {answer.lease: answer for answer in procedures.finish_steps(good) + procedures.fail_steps(bad)}
        for claim, outcome in ended:
            if outcome.report is None:
                procedures.release_claims(self._shared.worker, [claim.lease], outcome.reason)
                observer.event("released", drv=claim.drv, build=claim.build, message=outcome.reason)
            else:
                observer.event(
                    "built" if outcome.succeeded else "build_failed",
                    drv=claim.drv,
                    build=claim.build,
                    stepnr=claim.stepnr,
                    outcome=answers[claim.lease].outcome,
                    message=outcome.report.get("message"),
                )
