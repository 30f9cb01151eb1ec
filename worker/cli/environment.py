"""`exec`: run any program in the environment of the resolver's own commands."""

from __future__ import annotations

import sys

import click

from ..embedded.session import run_in_environment
from .errors import clear_errors
from .target import Options, target_options

PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("exec", context_settings=PASS_ON)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="CMD...")
@target_options
@clear_errors
def execute(options: Options, words: tuple[str, ...]) -> None:
    """Run a program with Nix, psql and the embedded store's settings in its environment.

    Options of this command come before the program: exec --state DIR nix-store -q --roots PATH
    """
    sys.exit(run_in_environment(words, state=options.state, store=options.store, database=options.database_url))
