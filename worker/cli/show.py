"""`status`, `restart`, `cancel`: show and change builds."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from ..database.procedures import Procedures
from .errors import clear_errors
from .status import status_in_words
from .tables import show
from .target import Options, open_database, target_options


def _with_procedures(options: Options, action: Callable[[Procedures], None]) -> None:
    with open_database(options) as conninfo:
        procedures = Procedures(conninfo)
        try:
            action(procedures)
        finally:
            procedures.close()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@target_options
@clear_errors
def status(options: Options, as_json: bool) -> None:
    """Show derivations by stage, running steps, workers, and what unfinished builds wait for."""

    def show_status(procedures: Procedures) -> None:
        found = procedures.status()
        if as_json:
            click.echo(json.dumps(found))
        else:
            show(status_in_words(found))

    _with_procedures(options, show_status)


@click.command()
@click.argument("build", type=int)
@target_options
@clear_errors
def restart(options: Options, build: int) -> None:
    """Build a finished BUILD again, and retry the failures that ended it."""
    _with_procedures(options, lambda procedures: procedures.restart_build(build))


@click.command()
@click.argument("build", type=int)
@target_options
@clear_errors
def cancel(options: Options, build: int) -> None:
    """Cancel an unfinished BUILD."""
    _with_procedures(options, lambda procedures: procedures.cancel_build(build))
