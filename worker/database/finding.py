"""A problem of a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, and what to do. `grave`: workers would fail, or do harm; else workers can run with it."""

    topic: str
    grave: bool
    message: str


def value(connection: psycopg.Connection, query: str, *parameters: Any) -> Any:
    """Return the one value of a query's result."""
    row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row
    return row[0]
