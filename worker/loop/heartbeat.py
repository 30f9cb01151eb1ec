"""The sign of life, independent of the work being done."""

from __future__ import annotations

import time

import psycopg

from ..database.errors import WorkerGoneError, translated
from .build_loop import BuildLoop
from .shared import Shared

BEATS = 5
"""Heartbeats in one lease time."""
MARGIN = 0.8
"""Part of the lease time after which, without an acknowledged heartbeat, the worker ends its own builds."""


class Heartbeat:
    """Beats until all else has ended; ends builds that nobody needs, and all of them when the database is out of reach.

    It outlives the other concerns: builds that are coming to their end still belong to this worker.
    """

    def __init__(self, shared: Shared, builds: BuildLoop | None, lease_seconds: float) -> None:
        self._shared = shared
        self._builds = builds
        self._lease_seconds = lease_seconds
        self._acknowledged = time.monotonic()
        self._connection: psycopg.Connection[tuple[int]] | None = None

    def run(self) -> None:
        """Beat. A worker that was declared dead drops what it has, and registers again."""
        while not self._shared.ended.wait(self._lease_seconds / BEATS):
            sent = time.monotonic()
            try:
                unwanted = self._beat()
            except WorkerGoneError:
                self._abort(None)
                self._shared.register()
                self._shared.wake_all()
            except psycopg.Error as error:
                self._shared.observer.event("database_error", verb="heartbeat", message=str(error))
                self._disconnect()
                if time.monotonic() > self._acknowledged + MARGIN * self._lease_seconds:
                    self._abort(None)
            else:
                self._acknowledged = sent
                if unwanted:
                    self._abort(unwanted)
        self._disconnect()

    def _beat(self) -> list[int]:
        if self._connection is None:
            timeout = max(2, int(self._lease_seconds / BEATS))
            self._connection = psycopg.connect(
                self._shared.procedures.conninfo, autocommit=True, connect_timeout=timeout
            )
            self._connection.execute(f"set statement_timeout = '{timeout}s'".encode())
        try:
            rows = self._connection.execute("select * from resolver.heartbeat(%s)", [self._shared.worker])
            return [row[0] for row in rows.fetchall()]
        except psycopg.Error as error:
            raise translated(error) from error

    def _abort(self, leases: list[int] | None) -> None:
        if self._builds is not None:
            self._builds.abort(leases)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
