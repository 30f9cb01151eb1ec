"""Connections that notice when the database is out of reach, by timeouts or on request."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

CONNECT_SECONDS = 5
"""The time in which the server has to answer a new connection."""

_PATIENCE: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def patience(conninfo: str) -> dict[str, Any]:
    """Return parameters of a connection that limit waits, without those that the operator has set in `conninfo`.

    Statements are not prepared on the server: behind a pooler the next transaction may run on another server session.
    Preparing would save only the parsing of `select * from f($1)`; a session plans the body of a function once anyway.
    """
    own = conninfo_to_dict(conninfo)
    return {name: value for name, value in _PATIENCE.items() if name not in own} | {"prepare_threshold": None}


def disconnect(connection: psycopg.Connection[Any]) -> None:
    """End a connection from another thread: a thread that waits for an answer on it gets an OperationalError."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


class AllInUseError(psycopg.OperationalError):
    """No connection became free in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"all connections to the database have been in use for {seconds:.0f} s")


class Connections:
    """Up to `most` connections in autocommit, opened on demand, for any number of threads.

    The connection that was used last is used first: its session has planned the procedures already, and planning takes
    ten times as long as a call.
    """

    def __init__(self, conninfo: str, most: int) -> None:
        self._conninfo = conninfo
        self._parameters = {**patience(conninfo), "autocommit": True, "application_name": "hydra-resolver"}
        self._most = threading.Semaphore(most)
        self._idle: list[psycopg.Connection[Any]] = []
        self._closed = False

    @contextmanager
    def one(self, seconds: float) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection, after at most this wait. Raises AllInUseError, psycopg.OperationalError."""
        if not self._most.acquire(timeout=seconds):
            raise AllInUseError(seconds)
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._put_back(connection)
        finally:
            self._most.release()

    def close(self) -> None:
        """Close all connections; connections in use are closed after their use."""
        self._closed = True
        self._close_idle()

    def _take(self) -> psycopg.Connection[Any]:
        with suppress(IndexError):
            return self._idle.pop()
        return psycopg.connect(self._conninfo, **self._parameters)

    def _put_back(self, connection: psycopg.Connection[Any]) -> None:
        if connection.info.transaction_status is TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()
            self._close_idle()  # the same cause has probably ended the others
        if self._closed:
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()
