"""What has to be done now and then, by any worker: new builds, dead workers, what was put off, roots nobody needs."""

from __future__ import annotations

import itertools
import time

import psycopg
from psycopg_pool import PoolTimeout

from .shared import Shared

TICK_SECONDS = 1.0
ROOTS_SECONDS = 60.0
ROOTS_AT_A_TIME = 1000
ROOTS_KEPT_SECONDS = 600.0
"""A root is made before the database hears of what it protects."""


class Ticker:
    """Ticks until the worker stops; at once when Hydra's builds have changed."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._roots_swept = time.monotonic()

    def run(self) -> None:
        """Tick."""
        shared = self._shared
        while not shared.stopping.is_set():
            shared.builds_changed.wait(TICK_SECONDS)
            shared.builds_changed.clear()
            try:
                self.tick()
            except (psycopg.Error, PoolTimeout) as error:
                shared.observer.event("database_error", verb="tick", message=str(error))

    def tick(self) -> None:
        """One round."""
        shared, procedures = self._shared, self._shared.procedures
        while procedures.sync_builds() and not shared.stopping.is_set():
            pass
        swept = procedures.sweep()
        if swept:
            shared.observer.event("swept", claims=swept)
        while procedures.advance() and not shared.stopping.is_set():
            pass
        if time.monotonic() - self._roots_swept > ROOTS_SECONDS:
            self._sweep_roots()
            self._roots_swept = time.monotonic()

    def _sweep_roots(self) -> None:
        roots = self._shared.context.roots
        names = roots.names(older_than=ROOTS_KEPT_SECONDS)
        while chunk := list(itertools.islice(names, ROOTS_AT_A_TIME)):
            for name in self._shared.procedures.unneeded_roots(chunk):
                roots.remove(name)
