"""`db` and `psql`: work with the database itself."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..database import install as installation
from ..database import privileges
from ..database.diagnosis import Diagnosis, diagnose
from ..database.errors import DatabaseError
from ..database.uninstall import uninstall as remove
from ..embedded.postgres import shared_postgres
from ..embedded.session import run_in_environment
from .environment import PASS_ON
from .errors import clear_errors
from .target import Options, target_options


@click.group("db")
def database_group() -> None:
    """Install, check and remove the schema `resolver` in Hydra's database, and grant rights to it."""


@contextmanager
def _reachable(options: Options) -> Iterator[str]:
    """Yield the connection string of a database with or without the schema; an embedded one runs meanwhile."""
    named = options.database_url
    if named is not None:
        yield named
        return
    with shared_postgres(options.state_directory) as server:
        yield server.conninfo()


@database_group.command()
@target_options
@clear_errors
def install(options: Options) -> None:
    """Install the schema, or upgrade it, in one transaction; an empty database gets Hydra's tables as well."""
    with _reachable(options) as conninfo:
        done = installation.install(conninfo)
    if done.created_hydra_tables:
        click.echo("created Hydra's tables")
    for name in done.migrations:
        click.echo(f"applied migration {name}")
    click.echo(
        f"created {done.functions} functions and views" if done.functions else "functions and views are up to date"
    )


@database_group.command()
@target_options
@clear_errors
def uninstall(options: Options) -> None:
    """Remove the schema, in one transaction, unless workers live; rows in Hydra's tables stay."""
    with _reachable(options) as conninfo:
        remove(conninfo)
    click.echo("removed the schema 'resolver'")


@database_group.command()
@click.option("--listen-database", metavar="URL", help="The database where workers listen, if not --database.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@target_options
@clear_errors
def check(options: Options, listen_database: str | None, as_json: bool) -> None:
    """Report problems of the database, for a worker with this role.

    Exit status 0 if workers can run, 1 if a problem stops workers or makes them do harm, 2 if workers can't even start:
    the database can't be reached, is not Hydra's, or does not have the schema of this release.
    """
    with _reachable(options) as conninfo:
        try:
            hydra_config = options.settings.value("hydra_config") if options.database is not None else None
            found = diagnose(conninfo, options.listen_url(conninfo, listen_database), hydra_config)
        except DatabaseError as error:
            if as_json:
                click.echo(json.dumps({"ready": False, "error": str(error)}))
            raise
    if as_json:
        click.echo(json.dumps({"ready": found.ready, **dataclasses.asdict(found)}))
    else:
        _say(found)
    sys.exit(0 if found.ready else 1)


def _say(found: Diagnosis) -> None:
    for finding in sorted(found.findings, key=lambda finding: not finding.grave):
        click.echo(f"{'wrong' if finding.grave else 'note'}: {finding.message}")
    about = f"PostgreSQL {found.postgresql}, Hydra's schema version {found.hydra}, as role '{found.role}'"
    click.echo(f"the database is {'ready' if found.ready else 'not ready'} ({about})")


@database_group.command()
@click.argument("role")
@click.option("--as", "kind", type=click.Choice(privileges.KINDS), required=True, help="The rights that ROLE gets.")
@target_options
@clear_errors
def grant(options: Options, role: str, kind: privileges.Kind) -> None:
    """Give an existing ROLE of the server the rights of a worker or of a monitor.

    A worker may call the procedures, and may not use tables. A monitor may call the procedures that only read, and may
    read views. The next `db install` keeps these rights.
    """
    with _reachable(options) as conninfo:
        privileges.grant(conninfo, role, kind)
    click.echo(f"the role '{role}' is a {kind} now")


@database_group.command()
@click.argument("role")
@target_options
@clear_errors
def revoke(options: Options, role: str) -> None:
    """Take all rights to the schema from ROLE."""
    with _reachable(options) as conninfo:
        had = privileges.revoke(conninfo, role)
    click.echo(f"the role '{role}' has no rights to the schema {'any more' if had else 'and had none'}")


@click.command(context_settings=PASS_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@target_options
@clear_errors
def psql(options: Options, words: tuple[str, ...]) -> None:
    """Open psql on the database; options of this command come before the options of psql."""
    sys.exit(
        run_in_environment(["psql", *words], state=options.state, store=options.store, database=options.database_url)
    )
