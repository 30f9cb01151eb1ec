"""`db` and `psql`: the database itself."""

from __future__ import annotations

import sys

import click

from ..database import install as installation
from ..embedded.postgres import shared_postgres
from ..embedded.session import run_in_environment
from .environment import PASS_ON
from .errors import clear_errors
from .target import Options, target_options


@click.group("db")
def database_group() -> None:
    """Install and check the schema `resolver` in Hydra's database."""


@database_group.command()
@target_options
@clear_errors
def install(options: Options) -> None:
    """Install the schema, or upgrade it; an empty database gets Hydra's tables as well. All or nothing."""
    named = options.database_url
    if named is not None:
        done = installation.install(named)
    else:
        with shared_postgres(options.state_directory) as server:
            done = installation.install(server.conninfo())
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
def check(options: Options) -> None:
    """Say whether the database can be used by this release; exit status 2 and the reason if not."""
    named = options.database_url
    if named is not None:
        installation.check(named, for_writing=True)
    else:
        with shared_postgres(options.state_directory) as server:
            installation.check(server.conninfo())
    click.echo("the database is ready")


@click.command(context_settings=PASS_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@target_options
@clear_errors
def psql(options: Options, words: tuple[str, ...]) -> None:
    """Open psql on the database; options of this command come before those of psql."""
    sys.exit(
        run_in_environment(["psql", *words], state=options.state, store=options.store, database=options.database_url)
    )
