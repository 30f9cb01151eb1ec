"""Settings of the server, the database or the role that break the procedures, or slow them down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from .finding import Finding, value

PATIENT_SECONDS = 60
"""A statement may wait for the graph lock for half of this time, and then still has work to do."""


@dataclass(frozen=True, slots=True)
class _Rule:
    setting: str
    wrong: Callable[[str], bool]
    grave: bool
    consequence: str
    better: str


def _below(seconds: int) -> Callable[[str], bool]:
    return lambda milliseconds: 0 < int(milliseconds) < seconds * 1000


_TOO_SHORT = "a call that waits for the graph lock, which may take 30 s, is cancelled"
_RULES = (
    _Rule("default_transaction_isolation", lambda v: v != "read committed", True,
          "procedures refuse this isolation level (NX010)", "read committed"),
    _Rule("statement_timeout", _below(PATIENT_SECONDS), True, _TOO_SHORT, "0"),
    _Rule("transaction_timeout", _below(PATIENT_SECONDS), True, _TOO_SHORT, "0"),
    _Rule("lock_timeout", _below(1), False, "calls fail, and are retried, though the lock would soon be free", "0"),
    _Rule("idle_session_timeout", lambda v: int(v) > 0, False,
          "the server ends quiet listening connections, and workers reconnect", "0"),
    _Rule("session_replication_role", lambda v: v != "origin", True, "Hydra's triggers do not fire", "origin"),
    _Rule("standard_conforming_strings", lambda v: v != "on", True, "texts in procedures are misread", "on"),
    _Rule("synchronous_commit", lambda v: v == "off", False,
          "a crash of the server may undo changes that it has confirmed to workers", "on"),
    _Rule("autovacuum", lambda v: v != "on", True, "tables that are written at every move grow without end", "on"),
    _Rule("track_counts", lambda v: v != "on", True, "autovacuum does not find the tables to clean", "on"),
)  # fmt: skip
_OF_SERVER = ("autovacuum", "track_counts")
"""Settings of the server's own configuration only, or that should be set only there."""


def wrong_settings(connection: psycopg.Connection) -> Iterator[Finding]:
    """Yield the wrong settings for the role of this connection."""
    encoding = value(connection, "select current_setting('server_encoding')")
    if encoding != "UTF8":
        yield Finding(
            "settings", True, f"the encoding is {encoding}, but build messages need UTF8: recreate the database."
        )
    role = value(connection, "select current_user")
    found = connection.execute(
        "select name, setting, current_setting(name) from pg_settings where name = any (%s)",
        [[rule.setting for rule in _RULES]],
    ).fetchall()
    values = {name: (setting, shown) for name, setting, shown in found}
    for rule in _RULES:
        setting, shown = values.get(rule.setting, (None, ""))
        if setting is not None and rule.wrong(setting):
            change = "alter system" if rule.setting in _OF_SERVER else f'alter role "{role}"'
            yield Finding(
                "settings",
                rule.grave,
                f"{rule.setting} is {shown}: {rule.consequence}. {change} set {rule.setting} = '{rule.better}'",
            )
