"""Installing the schema `resolver` into Hydra's database: one transaction, idempotent, upgrading.

What holds data is in numbered migrations, applied once; functions and views are created anew every time.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import psycopg

from .errors import (
    DatabaseError,
    HydraTooOldError,
    InstalledNewerError,
    MigrationChangedError,
    NotHydraError,
    NotInstalledError,
    ReadOnlyError,
)

OLDEST_HYDRA = 87
OLDEST_POSTGRESQL = 15
_INSTALL_LOCK = 0x6E69785265736F6C  # any number that nobody else uses for an advisory lock


@dataclass(frozen=True)
class Migration:
    """One file of sql/migrations."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Installed:
    """What an installation did."""

    created_hydra_tables: bool
    migrations: list[str]
    functions: int


def sql_directory() -> Path:
    """Where the SQL files are: inside the installed package, else beside it in the source tree."""
    packaged = Path(str(resources.files("hydra_resolver") / "sql"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "sql"


def migrations() -> list[Migration]:
    """The migrations of this release, in order."""
    found = sorted((sql_directory() / "migrations").glob("[0-9]*.sql"))
    return [Migration(int(path.name[:4]), path.stem, path.read_text()) for path in found]


def function_files() -> list[Path]:
    """The files of functions and views, in the order of the manifest."""
    directory = sql_directory() / "functions"
    lines = (directory / "manifest").read_text().splitlines()
    return [directory / line for line in lines if line and not line.startswith("#")]


def functions_digest() -> str:
    """Digest of all functions and views: tells whether what is installed is what this release has."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in function_files())).hexdigest()


def install(conninfo: str) -> Installed:
    """Install or upgrade the schema `resolver`, and Hydra's tables if the database is empty.

    Raises:
        NotHydraError, HydraTooOldError, InstalledNewerError, MigrationChangedError: nothing was changed.
        psycopg.Error: nothing was changed.
    """
    with psycopg.connect(conninfo) as connection:
        connection.execute("set search_path = public")
        connection.execute("select pg_advisory_xact_lock(%s)", [_INSTALL_LOCK])
        _check_server(connection)
        created = _prepare_hydra(connection)
        applied = _migrate(connection)
        functions = _create_functions(connection)
        return Installed(created, applied, functions)


def check(conninfo: str, *, for_writing: bool = False) -> None:
    """Raise if this release can't work with the database as it is; `for_writing`: also if it is read-only."""
    with psycopg.connect(conninfo) as connection:
        _check_server(connection)
        _check_hydra(connection)
        if not _exists(connection, "resolver.installation"):
            raise NotInstalledError(
                "the database has no schema 'resolver'. Install it: hydra-resolver db install --database URL"
            )
        _check_applied(connection)
        if for_writing and _setting(connection, "transaction_read_only") == "on":
            raise ReadOnlyError
        digest = connection.execute("select functions from resolver.installation").fetchone()
        missing = len(migrations()) - len(_applied(connection))
        if missing or digest is None or digest[0] != functions_digest():
            raise NotInstalledError(
                "the schema 'resolver' was installed by another release. "
                "Upgrade it: hydra-resolver db install --database URL"
            )


def _setting(connection: psycopg.Connection, name: str) -> str | None:
    row = connection.execute("select current_setting(%s)", [name]).fetchone()
    return row[0] if row else None


def _exists(connection: psycopg.Connection, relation: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", [relation]).fetchone()
    return bool(row and row[0])


def _check_server(connection: psycopg.Connection) -> None:
    version = connection.info.server_version // 10000
    if version < OLDEST_POSTGRESQL:
        raise DatabaseError(
            f"the server is PostgreSQL {version}; {OLDEST_POSTGRESQL} is the oldest that works. Upgrade the server."
        )


def _check_hydra(connection: psycopg.Connection) -> bool:
    """Whether it has Hydra's tables; false if it is empty. Raises NotHydraError, HydraTooOldError."""
    if _exists(connection, "public.schemaversion"):
        row = connection.execute("select version from public.SchemaVersion").fetchone()
        version = row[0] if row else 0
        if version < OLDEST_HYDRA:
            raise HydraTooOldError(
                f"Hydra's schema has version {version}; the resolver needs {OLDEST_HYDRA} or later. "
                "Upgrade Hydra and run hydra-init, then install again."
            )
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


def _prepare_hydra(connection: psycopg.Connection) -> bool:
    if _check_hydra(connection):
        return False
    for name in ("tables.sql", "triggers.sql"):
        _execute_file(connection, sql_directory() / "hydra" / name)
    return True


def _applied(connection: psycopg.Connection) -> dict[int, str]:
    return dict(connection.execute("select number, checksum from resolver.migration order by number").fetchall())


def _check_applied(connection: psycopg.Connection) -> None:
    known = {migration.number: migration for migration in migrations()}
    for number, checksum in _applied(connection).items():
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


def _migrate(connection: psycopg.Connection) -> list[str]:
    if not _exists(connection, "resolver.installation"):
        connection.execute("create schema resolver")
        connection.execute("revoke all on schema resolver from public")
        connection.execute(
            "create table resolver.migration (number integer constraint migration_key primary key, name text not null, "
            "checksum text not null, applied timestamptz not null default now())"
        )
        connection.execute(
            "comment on table resolver.migration is 'Migrations that were applied, with their checksums.'"
        )
        connection.execute(
            "create table resolver.installation "
            "(only_row boolean constraint installation_key primary key default true, "
            "functions text not null, time timestamptz not null, constraint installation_is_one check (only_row))"
        )
        connection.execute(
            "comment on table resolver.installation is 'Which functions are installed: a digest of their files.'"
        )
    _check_applied(connection)
    applied = _applied(connection)
    new = [migration for migration in migrations() if migration.number not in applied]
    for migration in new:
        connection.execute(migration.text.encode())
        connection.execute(
            "insert into resolver.migration (number, name, checksum) values (%s, %s, %s)",
            [migration.number, migration.name, migration.checksum],
        )
    return [migration.name for migration in new]


def _create_functions(connection: psycopg.Connection) -> int:
    installed = connection.execute("select functions from resolver.installation").fetchone()
    if installed and installed[0] == functions_digest():
        return 0
    # Signatures change between releases: all are dropped first, nothing outside of the schema may depend on them.
    connection.execute(
        """
        do $$
        declare v_drop text;
        begin
            for v_drop in
                select format('drop view resolver.%I', c.relname) from pg_class c
                 where c.relnamespace = 'resolver'::regnamespace and c.relkind = 'v'
                union all
                select format('drop routine %s', p.oid::regprocedure) from pg_proc p
                 where p.pronamespace = 'resolver'::regnamespace
            loop
                execute v_drop;
            end loop;
        end
        $$
        """
    )
    for path in function_files():
        _execute_file(connection, path)
    connection.execute("revoke all on all routines in schema resolver from public")
    connection.execute(
        "insert into resolver.installation (functions, time) values (%s, now()) "
        "on conflict (only_row) do update set functions = excluded.functions, time = excluded.time",
        [functions_digest()],
    )
    return len(function_files())


def _execute_file(connection: psycopg.Connection, path: Path) -> None:
    try:
        connection.execute(path.read_bytes())
    except psycopg.errors.SyntaxError as error:
        line = path.read_text()[: int(error.diag.statement_position or 1)].count("\n") + 1
        raise DatabaseError(f"{path.name}:{line}: {re.sub(chr(10), ' ', str(error))}") from error
