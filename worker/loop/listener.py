"""LISTEN: notifications wake verbs and concerns. They are hints: after every (re)connect, all look for work.

The verbs start when they are woken for the first time, here: work that they found earlier would be looked for again.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Any

import psycopg

from .. import failpoints
from ..database.connections import disconnect, patience
from ..database.procedures import Verb
from .worker_state import WorkerState

WAKES: dict[str, Verb] = {"derivation_wanted": "load", "dependency_ready": "resolve", "step_ready": "build"}
CHANGED_CHANNELS = ("builds_restarted", "builds_cancelled", "builds_bumped", "builds_deleted")
"""Hydra's notifications of changed builds, which do not name the builds."""
TICK_CHANNELS = ("builds_added", *CHANGED_CHANNELS, "jobset_shares_changed", "propagations_left")
STATUS_CHANNEL = "dump_status"
BEAT_CHANNEL = "worker_beat"
"""Every heartbeat is notified on it: if none arrives, the connection is deaf, though it may look well."""
UNHEARD_BEATS = 3
UNHEARD_SECONDS = 5.0

REFUSED_SECONDS = 60.0
"""If the server refuses LISTEN, it is retried after this time."""
DEAF_SECONDS = 1.0
"""Without notifications, the worker looks for work this often."""
LOOK_SECONDS = 1.0
"""The interval of checks whether heartbeats are heard."""


class NotificationsLost(psycopg.OperationalError):
    """Heartbeats were answered, but their notifications did not arrive."""


class Listener:
    """Listens until the worker stops, over a connection that must not go through a transaction pooler.

    Without a connection (`conninfo` is None, or it is lost), the worker finds its work by polling.
    """

    name = "listener"

    def __init__(self, shared: WorkerState, conninfo: str | None) -> None:
        self._shared = shared
        self._conninfo = conninfo
        self._connection: psycopg.Connection[Any] | None = None
        self._stopped, self._stop = socket.socketpair()
        self._told = False
        """Whether the failure to listen was reported since the last success."""

    def run(self) -> None:
        """Listen; reconnect whenever the connection is lost."""
        while not self._shared.stopping.is_set():
            if self._conninfo is None:
                self._poll(float("inf"))
                break
            try:
                with psycopg.connect(self._conninfo, autocommit=True, **patience(self._conninfo)) as connection:
                    self._connection = connection
                    self._listen(connection)
            except psycopg.OperationalError as error:
                self._tell(error)
                self._poll(DEAF_SECONDS)
            except psycopg.Error as error:
                self._tell(error)
                self._poll(REFUSED_SECONDS)
        self._stopped.close()

    def _poll(self, seconds: float) -> None:
        """Make all concerns look for work, again and again for that long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._shared.stopping.is_set():
            self._look_at_everything()
            self._shared.stopping.wait(DEAF_SECONDS)

    def _look_at_everything(self) -> None:
        self._shared.ticks_asked.set()
        self._shared.wake_all()

    def _tell(self, error: psycopg.Error) -> None:
        """Report the error once: it may last as long as the worker."""
        if not self._told:
            self._told = True
            message = f"the worker polls, without notifications: {error}"
            self._shared.observer.event("database_error", verb="listen", message=message)

    def stop(self) -> None:
        """Wake the listener, so that it notices at once that the worker stops."""
        self._stop.close()

    def disconnect_waiting(self) -> None:
        """End the connection, which may be waiting for an answer that never comes."""
        connection = self._connection
        if connection is not None:
            disconnect(connection)

    def _listen(self, connection: psycopg.Connection) -> None:
        channels = [channel for channel, verb in WAKES.items() if verb in self._shared.abilities.verbs]
        failpoints.reach("listen connected")
        for channel in [*channels, *TICK_CHANNELS, STATUS_CHANNEL, BEAT_CHANNEL]:
            connection.execute(f"listen {channel}".encode())
            failpoints.reach("listen to a channel")
        heard, since = self._shared.beats, time.monotonic()
        self._shared.builds_changed.set()
        self._look_at_everything()
        failpoints.reach("listen to all")
        while not self._shared.stopping.is_set():
            select.select([connection.fileno(), self._stopped.fileno()], [], [], LOOK_SECONDS)
            beats = self._shared.beats
            for notification in connection.notifies(timeout=0):
                failpoints.reach("listen notified")
                if notification.channel == BEAT_CHANNEL:
                    heard, since, self._told = beats, time.monotonic(), False
                elif notification.channel == STATUS_CHANNEL:
                    self._shared.status_asked.set()
                elif (verb := WAKES.get(notification.channel)) is not None:
                    if not self._shared.procedures.claims_too(notification.pid, verb):
                        self._shared.wake[verb].set()
                else:
                    if notification.channel in CHANGED_CHANNELS:
                        self._shared.builds_changed.set()
                    self._shared.ticks_asked.set()
            if beats >= heard + UNHEARD_BEATS and time.monotonic() > since + UNHEARD_SECONDS:
                raise NotificationsLost(
                    f"{beats - heard} heartbeats were answered, but none of their notifications arrived"
                )
