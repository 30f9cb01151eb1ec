"""The installed schema of a database, and whether this release can work with it. Needs no right to any table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from .administration import check_server
from .connections import patience
from .errors import (
    HydraTooOldError,
    InstalledNewerError,
    MigrationChangedError,
    NotGrantedError,
    NotHydraError,
    NotInstalledError,
    NotOwnerError,
    ReadOnlyError,
)
from .release import OLDEST_HYDRA, functions_digest, migrations


@dataclass(frozen=True, slots=True)
class Installation:
    """Versions and settings of an installation."""

    hydra: int
    """Version of Hydra's schema."""
    migrations: Mapping[int, str]
    """Applied migrations of the schema `resolver`, with their checksums."""
    functions: str | None
    """Digest of the files of the installed functions."""
    counts_finished: bool
    """Whether Hydra's NrBuilds has the row that counts finished builds."""
    max_unsupported_time: float | None
    """Seconds that a derivation waits for a worker that can build it; None: for ever."""


def check(conninfo: str, *, for_writing: bool = False) -> None:
    """Raise if this release can't work with the database as it is; `for_writing`: also if it is read-only."""
    with psycopg.connect(conninfo, **patience(conninfo)) as connection:
        check_connected(connection, for_writing=for_writing)


def check_connected(connection: psycopg.Connection, *, for_writing: bool = False) -> Installation:
    """Do what `check` does; return the installation."""
    check_server(connection)
    found = read_installation(connection)
    check_hydra_version(found.hydra)
    check_applied(found.migrations)
    if for_writing and setting(connection, "transaction_read_only") == "on":
        raise ReadOnlyError
    if len(found.migrations) < len(migrations()) or found.functions != functions_digest():
        raise NotInstalledError.other_release()
    return found


def read_installation(connection: psycopg.Connection) -> Installation:
    """Read the installation. Raises NotHydraError, HydraTooOldError, NotInstalledError, NotGrantedError."""
    row = connection.execute(
        """
        select p.oid is not null, has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute'),
               current_user
          from pg_namespace n
          left join pg_proc p on p.pronamespace = n.oid and p.proname = 'installed' and p.pronargs = 0
         where n.nspname = 'resolver'
        """
    ).fetchone()
    if row is None:
        is_hydra(connection)
        raise NotInstalledError
    known, allowed, role = row
    if not known:
        raise NotInstalledError.other_release()
    if not allowed:
        raise NotGrantedError(role)
    answer = connection.execute("select resolver.installed()").fetchone()
    assert answer
    found = answer[0]
    return Installation(
        found["hydra"],
        {int(number): checksum for number, checksum in found["migrations"].items()},
        found["functions"],
        found["counts_finished"],
        found.get("max_unsupported_time"),
    )


def is_hydra(connection: psycopg.Connection) -> bool:
    """Return whether Hydra's tables exist; False: the database is empty. Raises NotHydraError, HydraTooOldError,
    NotOwnerError.
    """
    if exists(connection, "public.schemaversion"):
        answer = connection.execute(
            "select has_table_privilege('public.schemaversion', 'select'), current_user"
        ).fetchone()
        assert answer
        if not answer[0]:
            raise NotOwnerError(
                f"the role '{answer[1]}' may not read Hydra's tables. Connect as the role that owns them."
            )
        row = connection.execute("select version from public.SchemaVersion").fetchone()
        check_hydra_version(row[0] if row else 0)
        return True
    others = connection.execute(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') "
        "and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')"
    ).fetchone()
    if others and others[0]:
        raise NotHydraError(
            "this database is not Hydra's: it has tables, but no SchemaVersion. "
            "Name Hydra's own database, or an empty one, in which Hydra's tables are then created."
        )
    return False


def check_hydra_version(version: int) -> None:
    """Raise HydraTooOldError if the version is too old."""
    if version < OLDEST_HYDRA:
        raise HydraTooOldError(
            f"Hydra's schema has version {version}; the resolver needs {OLDEST_HYDRA} or later. "
            "Upgrade Hydra and run hydra-init, then install again."
        )


def check_applied(applied: Mapping[int, str]) -> None:
    """Raise if an applied migration is unknown to this release, or has another content."""
    known = {migration.number: migration for migration in migrations()}
    for number, checksum in sorted(applied.items()):
        if number not in known:
            raise InstalledNewerError(
                f"migration {number} of the schema 'resolver' is unknown here: a newer release installed it. "
                "Use that release, or a later one."
            )
        if known[number].checksum != checksum:
            raise MigrationChangedError(
                f"migration {known[number].name} was applied with another content. "
                "Use the release that installed it, or install into a fresh database."
            )


def setting(connection: psycopg.Connection, name: str) -> str | None:
    """Return a setting of the server in this session."""
    row = connection.execute("select current_setting(%s, true)", [name]).fetchone()
    return row[0] if row else None


def exists(connection: psycopg.Connection, relation: str) -> bool:
    """Return whether the table or view exists."""
    row = connection.execute("select to_regclass(%s) is not null", [relation]).fetchone()
    return bool(row and row[0])
