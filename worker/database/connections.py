"""Connections that notice, or are told, that the database is out of reach."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

CONNECT_SECONDS = 5
"""How long the server may take to answer a new connection."""

_PATIENCE: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def patience(conninfo: str) -> dict[str, Any]:
    """Parameters of a connection for limits in time, but for those that the operator has set in `conninfo`.

    Nothing is prepared on the server: behind a pooler the next transaction may be on another one. It would save the
    parsing of `select * from f($1)` only; what a function does is planned once for a session in any case.
    """
    own = conninfo_to_dict(conninfo)
    return {name: value for name, value in _PATIENCE.items() if name not in own} | {"prepare_threshold": None}


def disconnect(connection: psycopg.Connection[Any]) -> None:
    """End a connection from another thread: who waits for an answer on it gets an OperationalError."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
