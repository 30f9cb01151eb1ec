"""Turns at writing to the store, for writes that are quick."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TURN_SECONDS = 0.05


class WriteQueue:
    """One writer of the store at a time. A turn lasts at most `TURN_SECONDS`: then the next writer starts anyway.

    If two Nix processes register paths in the same moment, one of them sleeps for up to a tenth of a second. Trivial
    builds are ten times shorter than that; a build that takes longer has long ended its turn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Condition] = deque()
        """Each writer waits for its own condition: else every change would wake a thousand threads."""
        self._holder: threading.Condition | None = None
        self._until = 0.0

    @contextmanager
    def taken(self) -> Iterator[Callable[[], None]]:
        """Wait for a turn, in the order of calls, and hold it; the yielded function ends it early."""
        me = threading.Condition(self._lock)
        with self._lock:
            self._waiting.append(me)
            while self._waiting[0] is not me or self._seconds_left() > 0:
                me.wait(self._seconds_left() if self._waiting[0] is me else None)
            self._waiting.popleft()
            self._holder, self._until = me, time.monotonic() + TURN_SECONDS
            self._wake_first()

        def give_up() -> None:
            with self._lock:
                if self._holder is me:
                    self._holder = None
                    self._wake_first()

        try:
            yield give_up
        finally:
            give_up()

    def _wake_first(self) -> None:
        if self._waiting:
            self._waiting[0].notify()

    def _seconds_left(self) -> float:
        return 0.0 if self._holder is None else max(0.0, self._until - time.monotonic())
