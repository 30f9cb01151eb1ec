"""What has to be done now and then, by any worker: new builds, dead workers, what was put off, roots nobody needs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import Future

import psycopg

from .. import failpoints
from .shared import Shared

TICK_SECONDS = 1.0
ROOTS_SECONDS = 60.0
ROOTS_AT_A_TIME = 1000
ROOTS_KEPT_SECONDS = 600.0
"""A root is made before the database hears of what it protects."""


class Ticker:
    """Ticks until the worker stops; at once when Hydra's builds have changed."""

    name = "ticker"

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._roots: Iterator[str] | None = None
        """Those that are left of a sweep of roots; `None` between two sweeps."""
        self._next_sweep = time.monotonic()
        self.first: Future[None] = Future()
        """Done when it has ticked once, or failed to (psycopg.Error), or has ended."""

    def run(self) -> None:
        """Tick."""
        try:
            self._run()
        finally:
            self._first_ended()

    def _run(self) -> None:
        shared = self._shared
        while not shared.stopping.is_set():
            shared.builds_changed.wait(TICK_SECONDS)
            shared.builds_changed.clear()
            try:
                self._tick()
                self._first_ended()
                self._sweep_some_roots()
            except psycopg.Error as error:
                shared.observer.event("database_error", verb="tick", message=str(error))
                self._first_ended(error)

    def _first_ended(self, error: psycopg.Error | None = None) -> None:
        if not self.first.done():
            self.first.set_exception(error) if error else self.first.set_result(None)

    def _tick(self) -> None:
        shared, procedures = self._shared, self._shared.procedures
        while procedures.sync_builds() and not shared.stopping.is_set():
            pass
        swept = procedures.sweep()
        if swept:
            shared.observer.event("swept", claims=swept)
        while procedures.advance() and not shared.stopping.is_set():
            pass

    def _sweep_some_roots(self) -> None:
        """A part at each tick: they stay short. The first sweep begins at once: not every worker lives long."""
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
