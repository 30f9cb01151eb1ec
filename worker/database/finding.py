"""Something that is wrong with a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True, slots=True)
class Finding:
    """What it is, and what to do. `grave`: workers would fail, or do harm; else it can be lived with."""

    topic: str
    grave: bool
    message: str


def value(connection: psycopg.Connection, query: str, *parameters: Any) -> Any:
    """The one value that a query returns."""
    row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row
    return row[0]
