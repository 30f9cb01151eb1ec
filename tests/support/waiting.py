"""Helpers that wait for events, on machines that are busy with other things too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row

PATIENCE = 120.0
"""Seconds until a test gives up waiting: so many that only an event which never happens takes longer."""


def wait_until(happened: Callable[[], bool], *, within: float = PATIENCE) -> None:
    """Wait until a condition holds, for a limited time."""
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.05)


def wait_for(
    conninfo: str, query: str, *, within: float = PATIENCE, unless: Callable[[], bool] = lambda: False
) -> list[dict[str, Any]]:
    """Return the rows of a query as soon as there are any, or no rows if `unless` holds first.

    All queries use one session: a new session for each would keep a core busy.
    """
    deadline = time.monotonic() + within
    with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as session:
        while not (rows := session.execute(query.encode()).fetchall()) and not unless():
            assert time.monotonic() < deadline, f"no rows in time: {query}"
            time.sleep(0.05)
    return rows
