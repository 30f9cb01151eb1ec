"""Waiting for what must happen, on machines that are busy with other things too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row

PATIENCE = 120.0
"""Seconds after which a test does not wait any more: so many that only what never happens takes longer."""


def wait_until(happened: Callable[[], bool], *, within: float = PATIENCE) -> None:
    """Wait for something, for a limited time."""
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline, "this takes too long"
        time.sleep(0.05)


def wait_for(
    conninfo: str, query: str, *, within: float = PATIENCE, unless: Callable[[], bool] = lambda: False
) -> list[dict[str, Any]]:
    """The rows of a query, as soon as there are any; none if something else happens before.

    All is asked in one session: a new one each time would keep a core busy.
    """
    deadline = time.monotonic() + within
    with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as session:
        while not (rows := session.execute(query.encode()).fetchall()) and not unless():
            assert time.monotonic() < deadline, f"nothing came of: {query}"
            time.sleep(0.05)
    return rows
