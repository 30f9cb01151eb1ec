"""`resolve`: what one derivation resolves to."""

from __future__ import annotations

import sys

import click

from ..nix.client import Text
from ..nix.derivation import InputOutput
from ..nix.resolve import MissingOutputs, resolve
from ..nix.store import Store
from ..nix.store_path import InvalidStorePath
from .errors import CouldNotRun, clear_errors
from .lookup import Lookup
from .target import Options, open_store, target_options


@click.command("resolve")
@click.argument("drv")
@click.option(
    "--realisation", "given", multiple=True, metavar="DRV^OUT=PATH", help="The path that an input's output has."
)
@click.option("--write", is_flag=True, help="Write the resolved derivation to the store.")
@target_options
@clear_errors
def resolve_command(options: Options, drv: str, given: tuple[str, ...], write: bool) -> None:
    """Print the path of the derivation that DRV resolves to.

    Outputs of inputs that are not given are looked up in the database, then in the store's own record. Exit status 1,
    and the missing inputs, when it can't be resolved.
    """
    store = open_store(options)
    with store.connect() as client:
        base_name = store.base_name(drv)
        derivation = store.read_derivation(base_name, client)
        outputs = dict(_parse_realisation(store, text) for text in given)
        lookup = Lookup(options, client)
        for wanted in derivation.needed_outputs():
            if wanted not in outputs and (path := lookup.path_of(wanted)):
                outputs[wanted] = path
        try:
            resolved = resolve(derivation, base_name, outputs, version=store.nix_version, store_dir=store.store_dir)
        except MissingOutputs as error:
            for missing in error.missing:
                click.echo(store.store_dir.prefix + str(missing), err=True)
            sys.exit(1)
        if write:
            client.add_text(Text(resolved.path, resolved.text, resolved.derivation.references))
    click.echo(store.full_path(resolved.path))


def _parse_realisation(store: Store, text: str) -> tuple[InputOutput, str]:
    key, separator, path = text.partition("=")
    drv, *chain = key.split("^")
    form = "Write it as DRV^OUTPUT=PATH."
    if not separator or not chain or not all(chain):
        raise CouldNotRun(f"--realisation {text} is malformed. {form}")
    try:
        return InputOutput(store.base_name(drv), tuple(chain)), store.base_name(path)
    except InvalidStorePath as error:
        raise CouldNotRun(f"--realisation {text}: {error}. {form}") from None
