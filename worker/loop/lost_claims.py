"""Claims that the database gave, but whose answer or report was lost on the way."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..database.procedures import Verb
from .shared import Shared

AGAIN_SECONDS = 5.0
LONGEST_CLAIM_SECONDS = 60.0
"""The server may go on with a claim though nobody waits for it any more: 30 s for the graph lock, and then some."""


class LostClaims:
    """Those of one verb. The thread that claims gives back what the worker does not know of."""

    def __init__(self, shared: Shared, verb: Verb) -> None:
        self._shared = shared
        self._verb = verb
        self._until = 0.0
        self._next: float | None = None

    def there_may_be_some(self) -> None:
        """A claim or a report ended with an error, and what it was about is not counted as held any more."""
        self._until = time.monotonic() + LONGEST_CLAIM_SECONDS
        self._next = time.monotonic()

    def give_back(self, held: Iterable[int]) -> None:
        """Have the database take back all but these leases: at once, and again as long as more could turn up."""
        now = time.monotonic()
        if self._next is None or now < self._next:
            return
        self._shared.procedures.release_other_claims(self._shared.worker, self._verb, list(held))
        self._next = now + AGAIN_SECONDS if now < self._until else None
