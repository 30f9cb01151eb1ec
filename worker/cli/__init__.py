"""The command `hydra-resolver`."""

from __future__ import annotations

import gc
import signal
from importlib import import_module

import click

COMMANDS = {
    "run": "run:run",
    "enqueue": "run:enqueue",
    "worker": "work:worker",
    "resolve": "resolve:resolve_command",
    "status": "show:status",
    "explain": "explain:explain",
    "graph": "explain:graph",
    "check": "explain:check",
    "trace": "trace:trace",
    "savings": "savings:savings",
    "what-if": "what_if:what_if_command",
    "restart": "show:restart",
    "cancel": "show:cancel",
    "prune": "prune:prune",
    "db": "database:database_group",
    "config": "config:config",
    "psql": "database:psql",
    "exec": "environment:execute",
    "demo": "demo:demo",
}
"""Commands by name, each with its module and the name in it: only the module of the called command is imported."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        gc.disable()
        command: click.Command = getattr(import_module(f".{module}", __name__), name)
        gc.enable()
        gc.freeze()  # imported objects stay: the collector need not search them, here and at the end
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hydra-resolver")
def main() -> None:
    """Resolve and build content-addressed derivations, with the build graph kept in Hydra's PostgreSQL database.

    Without --database and --store, hydra-resolver uses an embedded database and an embedded store under --state DIR,
    and creates them if they are missing.
    """
    # SIGTERM does the same as Ctrl-C: commands clean up, and an embedded server does not stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
