"""Errors of the database side. Each says in one sentence what to do."""

from __future__ import annotations

import psycopg


class DatabaseError(Exception):
    """Something about the database that a person has to know; the message says what to do."""


class NotHydraError(DatabaseError):
    """The database holds something, but not Hydra's tables."""


class HydraTooOldError(DatabaseError):
    """Hydra's own schema is older than what the resolver can work with."""


class InstalledNewerError(DatabaseError):
    """The schema `resolver` in the database was installed by a newer release than this one."""


class NotInstalledError(DatabaseError):
    """The database has no schema `resolver`, or an older one than this release needs."""


class ReadOnlyError(DatabaseError):
    """Nothing can be written: a standby, or default_transaction_read_only."""

    def __init__(self) -> None:
        super().__init__("the database is read-only: name its primary server with --database.")


class MigrationChangedError(DatabaseError):
    """A migration that was applied differs from the one in this release."""


class LeaseLostError(DatabaseError):
    """NX011: the claim was taken back; the result belongs to nobody."""


class RefusedError(DatabaseError):
    """NX012: the report does not fit its lease, or is not complete."""


class StaleError(DatabaseError):
    """NX013: an input of the resolution was lost meanwhile."""


class UnconfirmedError(DatabaseError):
    """NX014: outputs that the resolved derivation is known to have were not confirmed."""


class OtherStoreError(DatabaseError):
    """NX015: the workers of this database use another Nix store."""


class WorkerGoneError(DatabaseError):
    """NX016: the worker was declared dead, or never registered."""


class NoSuchBuildError(DatabaseError):
    """NX017, NX018: there is no such build, or it is not in the state that the command is for."""


class UnknownVerbError(DatabaseError):
    """NX019: claims are for load, resolve or build."""


class IsolationError(DatabaseError):
    """NX010: a procedure was called in another isolation level than READ COMMITTED."""


BY_SQLSTATE: dict[str, type[DatabaseError]] = {
    "NX010": IsolationError,
    "NX011": LeaseLostError,
    "NX012": RefusedError,
    "NX013": StaleError,
    "NX014": UnconfirmedError,
    "NX015": OtherStoreError,
    "NX016": WorkerGoneError,
    "NX017": NoSuchBuildError,
    "NX018": NoSuchBuildError,
    "NX019": UnknownVerbError,
}

# What may pass by itself: serialization, deadlock, lock timeout, shutdown and restart, connection, too many clients.
_TRANSIENT = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "08")


def is_transient(error: Exception) -> bool:
    """Whether a database error is worth another try: only a closed list is."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_TRANSIENT)
    return error.sqlstate is None or error.sqlstate.startswith(_TRANSIENT)


def translated(error: psycopg.Error) -> Exception:
    """The class for an error that a procedure raised; other errors are returned as they are."""
    kind = BY_SQLSTATE.get(error.sqlstate or "")
    if kind is None:
        return error
    diag = error.diag
    return kind(
        ". ".join(part.rstrip(".") for part in (diag.message_primary, diag.message_detail, diag.message_hint) if part)
        + "."
    )
