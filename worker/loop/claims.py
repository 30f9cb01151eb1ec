"""The claims of one verb: made by its own thread, and together with reports of other verbs that make work for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import psycopg

from ..database.errors import DatabaseError
from ..database.procedures import Answer, Claim, Procedures, ReportOf, Verb

CLAIM_SECONDS = 0.05
"""The wait of a report for a claim in progress. Most claims take a millisecond, and the others may take long."""
AGAIN_SECONDS = 5.0
LONGEST_CLAIM_SECONDS = 60.0
"""The server may go on with a claim after its client has gone: 30 s for the graph lock, and some more."""


class Claimant(Protocol):
    """The loop that works on claims."""

    def room(self) -> int:
        """Return the number of claims that are welcome now."""

    def take(self, claims: Sequence[Claim], room: int) -> None:
        """Hold claims that were made for this much room. Any thread may call it."""

    def held(self) -> Iterable[int]:
        """Return the leases of claims that are not reported yet."""


class Claims:
    """Makes claims for a claimant, and releases claims that the claimant does not know, since an answer was lost."""

    def __init__(self, procedures: Procedures, verb: Verb, claimant: Claimant) -> None:
        self._procedures = procedures
        self._verb = verb
        self._claimant = claimant
        self._making = threading.Lock()
        """Held until the claimant holds the new claims: before, they look like lost claims."""
        self._lost_until = 0.0
        self._next: float | None = None

    def make(self, worker: int) -> int:
        """Claim as much as there is room for; return the number of claims.

        Raises WorkerGoneError, psycopg.Error.
        """
        with self._making:
            room = self._claimant.room()
            if not room:
                return 0
            try:
                self._give_back(worker)
                claims = self._procedures.claim(worker, self._verb, room)
            except psycopg.Error:
                self.some_may_be_lost()
                raise
            self._claimant.take(claims, room)
            return len(claims)

    def make_with_report(
        self, worker: int, procedure: ReportOf, reports: Sequence[Mapping[str, Any]]
    ) -> list[Answer] | None:
        """Report, and claim in one transaction. `None`: the caller has to report alone, perhaps once more."""
        if not reports or not self._making.acquire(timeout=CLAIM_SECONDS):
            return None
        try:
            if not (room := self._claimant.room()):
                return None
            try:
                answers, claims = self._procedures.report_and_claim(procedure, reports, worker, self._verb, room)
            except (DatabaseError, psycopg.Error):
                self.some_may_be_lost()
                return None
            self._claimant.take(claims, room)
            return answers
        finally:
            self._making.release()

    def some_may_be_lost(self) -> None:
        """Record that a claim or a report ended with an error, so that the database may hold unknown claims."""
        self._lost_until = time.monotonic() + LONGEST_CLAIM_SECONDS
        self._next = time.monotonic()

    def _give_back(self, worker: int) -> None:
        """Release all claims but those that are held: at once, and again as long as more could turn up."""
        now = time.monotonic()
        if self._next is None or now < self._next:
            return
        self._procedures.release_other_claims(worker, self._verb, list(self._claimant.held()))
        self._next = now + AGAIN_SECONDS if now < self._lost_until else None
