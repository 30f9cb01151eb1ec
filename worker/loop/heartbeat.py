"""The heartbeat, independent of the work."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from .. import failpoints
from ..database.connections import disconnect, patience
from ..database.errors import WorkerGoneError, translated
from .build_loop import BuildLoop
from .worker_state import WorkerState

BEATS = 5
"""Heartbeats in one lease time."""
LOOK_SECONDS = 0.5
"""The longest time between two checks whether the last heartbeat was answered in time."""
LONGEST_CALL_SECONDS = 60.0
"""A call without an answer by then gets none: a procedure waits for the graph lock for 30 s, the rest is short."""


class Heartbeat:
    """Beats until all other concerns have ended; ends unneeded builds, and all builds if the database is out of reach.

    The heartbeat outlives the other concerns: builds that are ending still belong to this worker. One thread beats, and
    may wait for an answer that never comes; another thread watches the clock.
    """

    name = "heartbeat"

    def __init__(self, shared: WorkerState, builds: BuildLoop | None) -> None:
        self._shared = shared
        self._builds = builds
        self._interval = shared.lease_seconds / BEATS
        self._limit = max(2, int(self._interval))
        """Seconds that one beat may take."""
        self._sent: float | None = None
        """The time since which a beat waits for its answer (monotonic)."""
        self._connection: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        """Beat, and check that the beats are answered."""
        shared = self._shared
        beats = threading.Thread(target=self._run_beats, name="heartbeat-beats")
        beats.start()
        while not shared.ended.wait(min(LOOK_SECONDS, self._interval)):
            self._look()
        beats.join(1.0)
        while beats.is_alive():
            self._disconnect_waiting()
            beats.join(0.1)

    def _look(self) -> None:
        shared, sent = self._shared, self._sent
        if sent is not None and time.monotonic() > sent + self._limit:
            self._disconnect_waiting()
        if shared.overdue:
            self._abort(None)
        shared.procedures.disconnect_waiting(shared.patience_seconds if shared.overdue else LONGEST_CALL_SECONDS)

    def _disconnect_waiting(self) -> None:
        connection = self._connection
        if connection is not None:
            disconnect(connection)

    def _run_beats(self) -> None:
        try:
            self._beat_once()
            while not self._shared.ended.wait(self._interval):
                self._beat_once()
        except BaseException as error:
            self._shared.fail(error)
        finally:
            self._disconnect()

    def _beat_once(self) -> None:
        """Beat. A worker that was declared dead drops its claims, and registers again."""
        shared = self._shared
        sent = time.monotonic()
        try:
            unwanted = self._beat()
        except WorkerGoneError:
            self._abort(None)
            self._register_again()
        except psycopg.Error as error:
            self._failed(error)
        else:
            shared.acknowledged = sent
            shared.beats += 1
            if unwanted:
                self._abort(unwanted)

    def _register_again(self) -> None:
        try:
            self._shared.register()
        except psycopg.Error as error:
            self._failed(error)  # the next beat tries again
        else:
            self._shared.wake_all()

    def _failed(self, error: Exception) -> None:
        self._shared.observer.event("database_error", verb="heartbeat", message=str(error))
        self._disconnect()

    def _beat(self) -> list[int]:
        failpoints.reach("before heartbeat")
        if self._connection is None:
            conninfo = self._shared.procedures.conninfo
            limits = patience(conninfo) | {"connect_timeout": self._limit}
            self._connection = psycopg.connect(conninfo, autocommit=True, **limits)
        self._sent = time.monotonic()
        try:
            rows = self._connection.execute("select * from resolver.heartbeat(%s)", [self._shared.worker])
            unwanted = [row[0] for row in rows.fetchall()]
        except psycopg.Error as error:
            raise translated(error) from error
        finally:
            self._sent = None
        failpoints.reach("after heartbeat")
        return unwanted

    def _abort(self, leases: list[int] | None) -> None:
        if self._builds is not None:
            self._builds.abort(leases)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
