"""LISTEN: notifications wake what they are for. They are hints: everything is looked at after every (re)connect."""

from __future__ import annotations

import select
import socket

import psycopg

from ..database.procedures import Verb
from .shared import Shared

WAKES: dict[str, Verb] = {"derivation_wanted": "load", "dependency_ready": "resolve", "step_ready": "build"}
BUILD_CHANNELS = ("builds_added", "builds_restarted", "builds_cancelled", "builds_bumped", "builds_deleted")


class Listener:
    """Listens until the worker stops, over a connection that must not go through a transaction pooler."""

    def __init__(self, shared: Shared, conninfo: str) -> None:
        self._shared = shared
        self._conninfo = conninfo
        self._stopped, self._stop = socket.socketpair()

    def run(self) -> None:
        """Listen; connect again whenever the connection is lost."""
        stopping = self._shared.stopping
        while not stopping.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    self._listen(connection)
            except psycopg.Error as error:
                self._shared.observer.event("database_error", verb="listen", message=str(error))
                stopping.wait(1.0)
        self._stopped.close()

    def stop(self) -> None:
        """Have it look at once whether the worker stops."""
        self._stop.close()

    def _listen(self, connection: psycopg.Connection) -> None:
        channels = [channel for channel, verb in WAKES.items() if verb in self._shared.abilities.verbs]
        for channel in [*channels, *BUILD_CHANNELS]:
            connection.execute(f"listen {channel}".encode())
        self._shared.builds_changed.set()
        self._shared.wake_all()
        while not self._shared.stopping.is_set():
            select.select([connection.fileno(), self._stopped.fileno()], [], [])
            for notification in connection.notifies(timeout=0):
                verb = WAKES.get(notification.channel)
                if verb is None:
                    self._shared.builds_changed.set()
                else:
                    self._shared.wake[verb].set()
