"""Regular work that any worker does: new builds, dead workers, postponed work, unneeded roots."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import psycopg

from .. import failpoints
from ..database.errors import DatabaseError
from .worker_state import WorkerState

TICK_SECONDS = 1.0
PASS_COST = 10.0
"""A pass over all builds takes at most a tenth of the time."""
ROOTS_SECONDS = 60.0
ROOTS_AT_A_TIME = 1000
ROOTS_KEPT_SECONDS = 600.0
"""A root is created before the database knows the path that it protects."""


class Ticker:
    """Ticks until the worker stops; at once when Hydra's builds have changed."""

    name = "ticker"

    def __init__(self, shared: WorkerState) -> None:
        self._shared = shared
        self._roots: Iterator[str] | None = None
        """The remaining roots of a sweep; `None` between two sweeps."""
        self._next_sweep = time.monotonic()
        self._next_pass = 0.0
        """The earliest start of the next pass over all builds (monotonic)."""
        self.first: Future[None] = Future()
        """Done after the first tick, also if it failed (psycopg.Error, DatabaseError), and if the ticker has ended."""

    def run(self) -> None:
        """Tick until the worker stops."""
        try:
            self._run()
        finally:
            self._first_ended()

    def _run(self) -> None:
        shared = self._shared
        while not shared.stopping.is_set():
            shared.ticks_asked.wait(TICK_SECONDS)
            shared.ticks_asked.clear()
            errors = [error for part in (self._sweep, self._sync, self._advance) if (error := self._try(part))]
            self._first_ended(errors[0] if errors else None)
            self._try(self._sweep_some_roots)

    def _try(self, part: Callable[[], None]) -> Exception | None:
        """Do a part of a tick. An error is reported, and does not stop the other parts."""
        try:
            part()
        except (psycopg.Error, DatabaseError) as error:
            self._shared.observer.event("database_error", verb="tick", message=str(error))
            return error
        return None

    def _first_ended(self, error: Exception | None = None) -> None:
        if not self.first.done():
            self.first.set_exception(error) if error else self.first.set_result(None)

    def _sweep(self) -> None:
        """Take back the claims of dead workers, a bounded number at a time."""
        self._shared.bury_dead()
        while swept := self._shared.procedures.sweep():
            self._shared.observer.event("swept", claims=swept)

    def _sync(self) -> None:
        """Find new builds, and changed builds if Hydra has notified changes, or the worker has just started."""
        shared, began = self._shared, time.monotonic()
        all_builds = shared.builds_changed.is_set() and began > self._next_pass
        if all_builds:
            shared.builds_changed.clear()
        while shared.procedures.sync_builds(all_builds=all_builds) and not shared.stopping.is_set():
            all_builds = False
        self._next_pass = max(self._next_pass, began + PASS_COST * (time.monotonic() - began))

    def _advance(self) -> None:
        while self._shared.procedures.advance() and not self._shared.stopping.is_set():
            pass

    def _sweep_some_roots(self) -> None:
        """Sweep a part of the roots, so that ticks stay short. The first sweep starts at once: workers may end soon."""
        roots = self._shared.context.roots
        if self._roots is None:
            if time.monotonic() < self._next_sweep:
                return
            self._roots = roots.names(older_than=ROOTS_KEPT_SECONDS)
        names = list(itertools.islice(self._roots, ROOTS_AT_A_TIME))
        if len(names) < ROOTS_AT_A_TIME:
            self._roots, self._next_sweep = None, time.monotonic() + ROOTS_SECONDS
        for name in self._shared.procedures.unneeded_roots(names) if names else ():
            failpoints.reach("root not needed")
            roots.remove(name)
