"""Transactions that change the schema `resolver` itself: one at a time, as its owner, with short waits for locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from .connections import patience
from .errors import BusyError, DatabaseError, DependedOnError, NotOwnerError
from .release import OLDEST_POSTGRESQL

_INSTALL_LOCK = 0x6E69785265736F6C  # any number that no other program uses for an advisory lock
LOCK_SECONDS = 30
"""The wait for a lock that another transaction holds. A transaction that waits for a lock blocks others."""


@contextmanager
def administration(conninfo: str, *, lock_seconds: int = LOCK_SECONDS) -> Iterator[psycopg.Connection]:
    """Open a transaction for changes of the schema; it is committed at the end. All settings end with it.

    Raises DatabaseError for an error that the user can correct, psycopg.Error for all others.
    """
    try:
        with psycopg.connect(conninfo, **patience(conninfo)) as connection:
            check_server(connection)
            # SQL here names its objects with their schemas, so it never uses other people's objects.
            for setting in (
                "search_path = pg_catalog, pg_temp",
                f"lock_timeout = '{lock_seconds}s'",
                "statement_timeout = 0",
                "idle_in_transaction_session_timeout = 0",
                "standard_conforming_strings = on",
                "check_function_bodies = on",
            ):
                connection.execute(f"set local {setting}".encode())
            connection.execute("select pg_advisory_xact_lock(%s)", [_INSTALL_LOCK])
            yield connection
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError(lock_seconds) from error
    except psycopg.errors.DependentObjectsStillExist as error:
        raise DependedOnError(" ".join((error.diag.message_detail or str(error)).split())) from error


def check_server(connection: psycopg.Connection) -> None:
    """Raise DatabaseError if the server is too old."""
    version = connection.info.server_version // 10000
    if version < OLDEST_POSTGRESQL:
        raise DatabaseError(
            f"the server is PostgreSQL {version}; {OLDEST_POSTGRESQL} is the oldest that works. Upgrade the server."
        )


def become_owner(connection: psycopg.Connection) -> None:
    """Continue as the owner of the schema, or before it exists, of Hydra's tables: the owner then owns new objects.

    Raises NotOwnerError if the role of this connection may not: procedures run with the owner's rights.
    """
    row = connection.execute(
        """
        select pg_get_userbyid(coalesce(n.nspowner, h.relowner)), n.oid is not null, current_user,
               pg_has_role(coalesce(n.nspowner, h.relowner), 'member')
          from (select) x
          left join pg_namespace n on n.nspname = 'resolver'
          left join pg_class h on h.oid = to_regclass('public.builds')
        """
    ).fetchone()
    assert row
    owner, installed, role, member = row
    if owner in (None, role):
        return
    if member:
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(owner)))
    elif installed:
        raise NotOwnerError(
            f"the schema 'resolver' belongs to the role '{owner}', not to '{role}'. Connect as '{owner}'."
        )
