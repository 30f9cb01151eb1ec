"""The claims of one verb: its own thread makes them, and reports of other verbs that make something ready for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import psycopg

from ..database.errors import DatabaseError
from ..database.procedures import Answer, Claim, Procedures, ReportOf, Verb

CLAIM_SECONDS = 0.05
"""So long a report waits for a claim that is being made. Most take a millisecond, and the others may take long."""
AGAIN_SECONDS = 5.0
LONGEST_CLAIM_SECONDS = 60.0
"""The server may go on with a claim though nobody waits for it any more: 30 s for the graph lock, and then some."""


class Claimant(Protocol):
    """Who does what is claimed."""

    def room(self) -> int:
        """How many more claims are welcome now."""

    def take(self, claims: Sequence[Claim], room: int) -> None:
        """Hold what was claimed when there was so much room. May be called by any thread."""

    def held(self) -> Iterable[int]:
        """Leases of what was claimed and not yet reported."""


class Claims:
    """Makes claims for a claimant, and has those taken back that it does not know of, since an answer was lost."""

    def __init__(self, procedures: Procedures, verb: Verb, claimant: Claimant) -> None:
        self._procedures = procedures
        self._verb = verb
        self._claimant = claimant
        self._making = threading.Lock()
        """Held until what the database gave is known to be held: it looks like a lost claim before."""
        self._lost_until = 0.0
        self._next: float | None = None

    def make(self, worker: int) -> int:
        """Claim as much as there is room for; returns how much that was.

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
        """Report, and claim in the same transaction. `None`: the report has to be made alone, perhaps once more."""
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
        """A claim or a report ended with an error, and what it was about is not counted as held any more."""
        self._lost_until = time.monotonic() + LONGEST_CLAIM_SECONDS
        self._next = time.monotonic()

    def _give_back(self, worker: int) -> None:
        """All but what is held: at once, and again as long as more could turn up."""
        now = time.monotonic()
        if self._next is None or now < self._next:
            return
        self._procedures.release_other_claims(worker, self._verb, list(self._claimant.held()))
        self._next = now + AGAIN_SECONDS if now < self._lost_until else None
