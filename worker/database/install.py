"""Installing the schema `resolver` into Hydra's database: one transaction, idempotent, upgrading.

Numbered migrations create the tables, and are applied once; functions and views are recreated whenever one has changed.
The installation locks no data of Hydra's tables, only their names, and reads only the version of Hydra's schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg

from .administration import administration, become_owner
from .errors import DatabaseError, NotOwnerError, ReadOnlyError
from .installed import check, check_applied, exists, is_hydra, setting
from .privileges import capture, lacking_privileges, restore
from .release import function_files, functions_digest, migrations, sql_directory

__all__ = ["Installed", "check", "function_files", "install", "install_in", "migrations", "sql_directory"]


@dataclass(frozen=True)
class Installed:
    """The changes that an installation made."""

    created_hydra_tables: bool
    migrations: list[str]
    functions: int


def install(conninfo: str) -> Installed:
    """Install or upgrade the schema `resolver`, and Hydra's tables if the database is empty.

    Raises:
        DatabaseError, psycopg.Error: nothing was changed.
    """
    with administration(conninfo) as connection:
        return install_in(connection)


def install_in(connection: psycopg.Connection) -> Installed:
    """Install the schema in a transaction of `administration`."""
    created = not is_hydra(connection)
    if setting(connection, "transaction_read_only") == "on":
        raise ReadOnlyError
    become_owner(connection)
    if created:
        connection.execute("set local search_path = public")
        for name in ("tables.sql", "triggers.sql"):
            _execute_file(connection, sql_directory() / "hydra" / name)
        connection.execute("set local search_path = pg_catalog, pg_temp")
    rights = capture(connection)
    applied = _migrate(connection)
    functions = _create_functions(connection)
    if applied or functions:
        restore(connection, rights)
    return Installed(created, applied, functions)


def _create_schema(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "select current_user, current_database(), has_database_privilege(current_database(), 'create')"
    ).fetchone()
    assert row
    role, database, may_create = row
    if not may_create:
        raise NotOwnerError(
            f"the role '{role}' may not create a schema in the database '{database}'. "
            f'Connect as its owner, or let its owner run: grant create on database "{database}" to "{role}"'
        )
    lacking = lacking_privileges(connection, role)
    if lacking:
        raise NotOwnerError(
            f"the role '{role}' lacks rights to Hydra's tables: {'; '.join(lacking)}. "
            "Connect as the owner of these tables: procedures run with the rights of the role that installed them."
        )
    connection.execute("create schema resolver")
    connection.execute(
        "create table resolver.migration (number integer constraint migration_key primary key, name text not null, "
        "checksum text not null, applied timestamptz not null default now())"
    )
    connection.execute("comment on table resolver.migration is 'Migrations that were applied, with their checksums.'")
    connection.execute(
        "create table resolver.installation "
        "(only_row boolean constraint installation_key primary key default true, "
        "functions text not null, time timestamptz not null, constraint installation_is_one check (only_row))"
    )
    connection.execute("comment on table resolver.installation is 'The installed functions: a digest of their files.'")


def _migrate(connection: psycopg.Connection) -> list[str]:
    if not exists(connection, "resolver.installation"):
        _create_schema(connection)
    applied: dict[int, str] = dict(connection.execute("select number, checksum from resolver.migration").fetchall())
    check_applied(applied)
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
    drop_functions(connection)
    for path in function_files():
        _execute_file(connection, path)
    connection.execute(
        "insert into resolver.installation (functions, time) values (%s, now()) "
        "on conflict (only_row) do update set functions = excluded.functions, time = excluded.time",
        [functions_digest()],
    )
    return len(function_files())


def drop_functions(connection: psycopg.Connection) -> None:
    """Drop all functions and views, and the triggers of keep_history(), which has to be called again.

    Signatures change between releases, so all are dropped before any is created. An object outside the schema that
    depends on one keeps it from being dropped.
    """
    connection.execute(
        """
        do $$
        declare v_drop text;
        begin
            for v_drop in
                select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)
                  from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                 where p.pronamespace = 'resolver'::regnamespace
                union all
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


def _execute_file(connection: psycopg.Connection, path: Path) -> None:
    try:
        connection.execute(path.read_bytes())
    except psycopg.errors.SyntaxError as error:
        line = path.read_text()[: int(error.diag.statement_position or 1)].count("\n") + 1
        raise DatabaseError(f"{path.name}:{line}: {re.sub(chr(10), ' ', str(error))}") from error
