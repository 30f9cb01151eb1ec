"""Errors of the database side. The message of each says in one sentence what to do."""

from __future__ import annotations

import psycopg


class DatabaseError(Exception):
    """An error of the database that the user has to correct; the message says what to do."""


class NotHydraError(DatabaseError):
    """The database holds something, but not Hydra's tables."""


class HydraTooOldError(DatabaseError):
    """Hydra's own schema is older than the oldest that the resolver supports."""


class InstalledNewerError(DatabaseError):
    """The schema `resolver` in the database was installed by a newer release than this one."""


class NotInstalledError(DatabaseError):
    """The database has no schema `resolver`, or an older one than this release needs."""

    def __init__(
        self,
        message: str = "the database has no schema 'resolver'. Install it: hydra-resolver db install --database URL",
    ) -> None:
        super().__init__(message)

    @classmethod
    def other_release(cls) -> NotInstalledError:
        """The schema exists, but another release installed it."""
        return cls(
            "the schema 'resolver' was installed by another release. "
            "Upgrade it: hydra-resolver db install --database URL"
        )


class NotOwnerError(DatabaseError):
    """The action needs the owner of the schema, or of Hydra's tables."""


class NotGrantedError(DatabaseError):
    """The role has no rights to the schema `resolver`."""

    def __init__(self, role: str) -> None:
        super().__init__(
            f"the role '{role}' may not use the schema 'resolver'. "
            f"As the schema's owner: hydra-resolver db grant {role} --as worker --database URL"
        )


class NoSuchRoleError(DatabaseError):
    """Rights can't be granted or revoked: the role does not exist."""

    def __init__(self, role: str) -> None:
        super().__init__(f"the server has no role '{role}'. Create it first, in psql: create role \"{role}\" login")


class WorkersLiveError(DatabaseError):
    """The schema can't be removed while workers use it."""


class UnrecordedError(DatabaseError):
    """The schema can't be removed while another transaction holds rows of Hydra's that have to be written first."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"{rows} builds or steps have ended, but another transaction holds their rows in Hydra's tables: the end "
            "can't be written. Nothing was changed. Find the session of this transaction in pg_stat_activity, and try "
            "again."
        )


class DependedOnError(DatabaseError):
    """Other objects in the database depend on an object that has to be dropped or replaced."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"other objects of the database depend on the schema 'resolver': {detail.rstrip('.')}. "
            "Nothing was changed. Drop them first, and create them again afterwards."
        )


class BusyError(DatabaseError):
    """Another transaction held a lock for too long."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"another transaction has held a required lock for {seconds} s. Nothing was changed. "
            "Find the session of this transaction in pg_stat_activity, and try again."
        )


class ReadOnlyError(DatabaseError):
    """The database can't be written: it is a standby, or has default_transaction_read_only."""

    def __init__(self) -> None:
        super().__init__("the database is read-only: name its primary server with --database.")


class MigrationChangedError(DatabaseError):
    """A migration that was applied differs from the one in this release."""


class LeaseLostError(DatabaseError):
    """NX011: the claim was taken back; the result is dropped."""


class RefusedError(DatabaseError):
    """NX012: the report does not fit its lease, or is not complete."""


class StaleError(DatabaseError):
    """NX013: an input of the resolution was lost meanwhile."""


class UnconfirmedError(DatabaseError):
    """NX014: recorded outputs of the resolved derivation were not confirmed."""


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


class BadArgumentError(DatabaseError):
    """NX020: an argument of a procedure has the wrong form, or is too large."""


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
    "NX020": BadArgumentError,
}

# Errors that may pass: serialization, deadlock, lock timeout, shutdown and restart, connection, too many clients.
_TRANSIENT = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "08")


def is_transient(error: Exception) -> bool:
    """Return whether a call that failed with this error may be retried: a closed list of errors."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_TRANSIENT)
    return error.sqlstate is None or error.sqlstate.startswith(_TRANSIENT)


# The argument can't be stored: values out of range, texts with NUL, rows too large for an index or a page.
_UNSTORABLE = ("22", "54")
# The statement failed for its argument: a constraint, a row too many, an error that a function raised.
_OF_CONTENT = (*_UNSTORABLE, "21", "23", "P0")


def is_about_content(error: psycopg.Error) -> bool:
    """Return whether the database refused an argument: others, sent alone, may be accepted."""
    return isinstance(error, psycopg.DataError) or (error.sqlstate or "").startswith(_OF_CONTENT)


def is_unstorable(error: psycopg.Error) -> bool:
    """Return whether the database can never accept the argument."""
    return (error.sqlstate or "").startswith(_UNSTORABLE)


def translated(error: psycopg.Error) -> Exception:
    """Return the class for an error that a procedure raised; other errors are returned unchanged."""
    kind = BY_SQLSTATE.get(error.sqlstate or "")
    if kind is None:
        return error
    diag = error.diag
    return kind(
        ". ".join(part.rstrip(".") for part in (diag.message_primary, diag.message_detail, diag.message_hint) if part)
        + "."
    )
