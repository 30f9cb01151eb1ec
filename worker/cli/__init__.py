"""The command `hydra-resolver`."""

from __future__ import annotations

import signal

import click

from .database import database_group, psql
from .demo import demo
from .environment import execute
from .resolve import resolve_command
from .run import enqueue, run
from .show import cancel, restart, status
from .work import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hydra-resolver")
def main() -> None:
    """Resolve and build content-addressed derivations, with the build graph kept in Hydra's PostgreSQL database.

    Without --database and --store, an embedded database and an embedded store under --state DIR are used, and made
    when they are missing.
    """
    # As Ctrl-C does: what was begun is cleaned up, and an embedded server is not left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


for command in (run, enqueue, worker, resolve_command, status, restart, cancel, database_group, psql, execute, demo):
    main.add_command(command)
