"""Calls of procedures: over a few connections, each call in a transaction of its own, retried if needed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from .. import failpoints
from .connections import Connections, disconnect
from .errors import is_transient, translated

CONNECTION_SECONDS = 5.0
"""How long one try of a call waits for a connection."""
RETRY_SECONDS = 30.0
"""How long a call is retried while the database can't be reached."""
HEARD_SECONDS = 1.0
"""Notifications of a transaction usually arrive within this time."""

_IDENTITY = b"""
    select concat_ws('.', c.system_identifier, d.oid, to_regnamespace('resolver')::oid)
      from pg_control_system() c, pg_database d where d.datname = current_database()
"""
"""The cluster, the database, and the schema: the same through an alias or a pooler, another after a reinstallation."""


def statement_of(procedure: str, parameters: Sequence[Any]) -> tuple[bytes, Sequence[Any]]:
    """Return the statement that calls a procedure, for `Cursor.execute`."""
    return f"select * from resolver.{procedure}({', '.join(['%s'] * len(parameters))})".encode(), parameters


class Calls:
    """Calls procedures over a small pool of connections.

    A call is retried while the database restarts or can't be reached, for at most `RETRY_SECONDS`: reports may be sent
    twice. Raises the classes of `errors` for refusals of the procedures, `psycopg.Error` for all other errors.
    """

    def __init__(self, conninfo: str, *, connections: int = 4) -> None:
        self.conninfo = conninfo
        self._stopping = threading.Event()
        self._patience_ends = float("inf")
        self._calls: dict[object, tuple[psycopg.Connection[Any], float]] = {}
        """The calls that wait for an answer: connection, and start time (monotonic)."""
        self._claimed: dict[int, tuple[str, float]] = {}
        """By server process: the verb for which its last transaction claims newly ready work, and the start time."""
        self._connections = Connections(conninfo, connections)

    def close(self) -> None:
        """Close all connections; calls in a retry give up."""
        self._stopping.set()
        self._connections.close()

    def limit_retries(self, seconds: float) -> None:
        """From now on, retry calls for at most this time."""
        self._patience_ends = time.monotonic() + seconds

    def disconnect_waiting(self, seconds: float) -> None:
        """End the calls that have waited longer for an answer; they are retried over new connections.

        A connection to an unreachable database may look open for hours.
        """
        newest = time.monotonic() - seconds
        for connection, began in list(self._calls.values()):
            if began < newest:
                disconnect(connection)

    def claims_too(self, process: int, verb: str) -> bool:
        """Return whether a server process that has just notified a verb also claims for the verb, in the same call."""
        claimed, began = self._claimed.get(process, ("", 0.0))
        return claimed == verb and time.monotonic() < began + HEARD_SECONDS

    def database_identity(self) -> str:
        """Return a name that is unique to this installation of the schema. Raises psycopg.Error; without retries."""
        with self._connections.one(self._wait()) as connection, connection.cursor(row_factory=scalar_row) as cursor:
            return str(cursor.execute(_IDENTITY).fetchone())

    def _value(self, procedure: str, *parameters: Any) -> Any:
        return self._repeated(procedure, parameters, scalar_row)[0]

    def _repeated(self, procedure: str, parameters: Sequence[Any], rows: Any) -> list[Any]:
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._once(procedure, parameters, rows)
            except psycopg.Error as error:
                if not is_transient(error) or time.monotonic() > min(deadline, self._patience_ends):
                    raise translated(error) from error
                if self._stopping.wait(random.uniform(0.1, 0.5)):
                    raise

    def _once(self, procedure: str, parameters: Sequence[Any], rows: Any) -> list[Any]:
        with self._calling(procedure) as connection, connection.cursor(row_factory=rows) as cursor:
            return cursor.execute(*statement_of(procedure, parameters)).fetchall()

    @contextmanager
    def _calling(self, procedure: str, verb: str = "") -> Iterator[psycopg.Connection[Any]]:
        failpoints.reach(f"before {procedure}")
        with self._connections.one(self._wait()) as connection, self._under_way(connection):
            self._claimed[connection.info.backend_pid] = verb, time.monotonic()
            try:
                yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                connection.close()  # a session stays read-only even if the database does not
                raise
        failpoints.reach(f"after {procedure}")

    @contextmanager
    def _under_way(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        call = object()
        self._calls[call] = connection, time.monotonic()
        try:
            yield
        finally:
            del self._calls[call]

    def _wait(self) -> float:
        """Return how long to wait for a connection, at least half a second."""
        return max(0.5, min(CONNECTION_SECONDS, self._patience_ends - time.monotonic()))
