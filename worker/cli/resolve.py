"""`resolve`: resolve one derivation."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import click

from ..nix.aterm_print import print_derivation
from ..nix.client import Client, Text
from ..nix.derivation import Derivation, DerivationError, InputOutput, Kind
from ..nix.derivation_json import show_derivations
from ..nix.errors import NixError
from ..nix.resolvable import CannotResolve, check_resolvable, should_resolve
from ..nix.resolve import MissingOutputs, Resolved, resolve
from ..nix.store import Store
from ..nix.store_path import InvalidStorePath, derivation_name
from .difference import difference
from .errors import CouldNotRun, clear_errors
from .lookup import look_up
from .tables import show
from .target import Options, has_ca_derivations, open_store, require_ca_derivations, target_options
from .words import counted, printable

INPUTS_NAMED = 10
"""The number of inputs that an error lists, if a derivation has more."""
_OUTPUT = r"[^^]+?"  # can contain an equals sign, like names of paths
_REALISATION = re.compile(rf"([^^]+)\^({_OUTPUT}(?:\^{_OUTPUT})*)=(/.*|[0-9a-z]{{32}}-.*)")

_OTHER_PATH = re.compile(rf"[^^]+\^{_OUTPUT}(?:\^{_OUTPUT})*=([^=^]*)")


@click.command("resolve")
@click.argument("drv")
@click.option(
    "--realisation", "given", multiple=True, metavar="DRV^OUT=PATH", help="The path of an output of an input."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole derivation, as nix derivation show does.")
@click.option("--diff", "as_diff", is_flag=True, help="Print what resolving changes.")
@click.option("--write", is_flag=True, help="Write the resolved derivation to the store.")
@target_options
@clear_errors
def resolve_command(
    options: Options, drv: str, given: tuple[str, ...], as_json: bool, as_diff: bool, write: bool
) -> None:
    """Print the path of the derivation that DRV resolves to.

    For outputs of inputs that are not given, the command queries the database, if there is one, then the store's own
    record. An output of an output is given as DRV^OUT^OUT=PATH.

    Exit status 1 if DRV can't be resolved. If only outputs are missing, the command prints these outputs instead, one
    on a line, as nix build and --realisation take them; if DRV can never be resolved, it prints nothing. Exit status 2
    if the command could not be run. Reasons and warnings go to stderr.
    """
    if as_json and as_diff:
        raise CouldNotRun("--json and --diff exclude each other: choose one of them.")
    store = open_store(options)
    with store.connect() as client:
        drv_path, derivation = _read(store, client, drv)
        with _refusals_told(store):
            check_resolvable(derivation, drv_path)
            outputs = _parse_realisations(store, drv_path, derivation, given)
            if _is_resolved(store, derivation):
                resolved = Resolved(derivation, print_derivation(derivation, store.store_dir), drv_path)
            else:
                outputs = look_up(derivation.needed_outputs(), outputs, client, options)
                resolved = _resolve(store, client, drv_path, derivation, outputs)
        json = _json(store, resolved) if as_json else b""
        if write and resolved.path != drv_path:
            _write(client, resolved)
    if as_json:
        click.echo(json)
    elif as_diff:
        show(difference(drv_path, derivation, resolved, outputs, store.nix_version, store.store_dir))
    else:
        click.echo(store.full_path(resolved.path))


def _read(store: Store, client: Client, drv: str) -> tuple[str, Derivation]:
    advice = f"Name a .drv file of {store.store_dir.path}, or another store with --store."
    try:
        drv_path = store.base_name(drv)
        derivation_name(drv_path)
        if not client.protect([drv_path]):
            raise CouldNotRun(f"'{store.full_path(drv_path)}' is not in the store. {advice}")
        return drv_path, store.read_derivation(drv_path, client)
    except (InvalidStorePath, DerivationError, NixError) as error:
        raise CouldNotRun(f"{error}. {advice}") from None


def _is_resolved(store: Store, derivation: Derivation) -> bool:
    """Return whether Nix builds it as it is. Raises CouldNotRun if the store lacks the feature for this kind."""
    if derivation.kind is Kind.INPUT_ADDRESSED:
        return True  # one with dynamic inputs was refused before
    if derivation.kind is Kind.FIXED and not derivation.has_dynamic_inputs and not has_ca_derivations(store):
        return True
    require_ca_derivations(store)
    return not should_resolve(derivation, store.nix_version) and not derivation.has_dynamic_inputs


@contextmanager
def _refusals_told(store: Store) -> Iterator[None]:
    """If the derivation can't be resolved, print the reason, and missing outputs on stdout, and exit with status 1."""
    try:
        yield
    except MissingOutputs as error:
        first = f"{counted(len(error.missing), 'output')} must be built first"
        click.echo(f"Error: derivation '{error.drv_path}' can't be resolved yet: {first}", err=True)
        for missing in error.missing:
            click.echo(store.full_path(printable(str(missing))))
        sys.exit(1)
    except CannotResolve as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(1)


def _resolve(
    store: Store, client: Client, drv_path: str, derivation: Derivation, outputs: Mapping[InputOutput, str]
) -> Resolved:
    return resolve(
        derivation,
        drv_path,
        outputs,
        version=store.nix_version,
        store_dir=store.store_dir,
        input_kinds=dict(_input_kinds(store, client, derivation)),
    )


def _input_kinds(store: Store, client: Client, derivation: Derivation) -> Iterable[tuple[str, Kind]]:
    for drv_path in derivation.input_drvs:
        try:
            yield drv_path, store.read_derivation(drv_path, client).kind
        except (NixError, DerivationError):
            continue  # resolving does not need it; Nix would report the error at the build


def _json(store: Store, resolved: Resolved) -> bytes:
    try:
        return show_derivations({resolved.path: resolved.derivation}, store.nix_version, store.store_dir)
    except DerivationError as error:
        raise CouldNotRun(f"{error}. Leave out --json.") from None


def _write(client: Client, resolved: Resolved) -> None:
    try:
        client.add_text(Text(resolved.path, resolved.text, resolved.derivation.references))
    except NixError as error:
        raise CouldNotRun(f"--write: Nix says: {error}. Without --write, paths need not be in the store.") from None


def _parse_realisations(
    store: Store, drv_path: str, derivation: Derivation, given: Iterable[str]
) -> dict[InputOutput, str]:
    """Parse --realisation: outputs that the derivation needs, or links of chains that lead to them."""
    needed = list(derivation.needed_outputs())
    links = {InputOutput(drv, chain[:length]) for drv, chain in needed for length in range(1, len(chain) + 1)}
    outputs: dict[InputOutput, str] = {}
    for text in given:
        output, path = _parse_realisation(store, text)
        if output not in links:
            click.echo(
                f"--realisation {text} is not used: '{drv_path}' does not need this output. {_needs(needed)}", err=True
            )
            continue
        if outputs.setdefault(output, path) != path:
            raise CouldNotRun(
                f"--realisation gives '{output}' two paths, '{outputs[output]}' and '{path}': choose one of them."
            )
    return outputs


def _needs(needed: list[InputOutput]) -> str:
    if not needed:
        return "The derivation needs no outputs."
    named = ", ".join(f"'{output}'" for output in needed[:INPUTS_NAMED])
    more = len(needed) - INPUTS_NAMED
    return f"The derivation needs {named}" + (f" and {more} more." if more > 0 else ".")


def _parse_realisation(store: Store, text: str) -> tuple[InputOutput, str]:
    match = _REALISATION.fullmatch(text)
    if match is None:
        raise CouldNotRun(f"--realisation {text}{_what_is_wrong(store, text)}")
    drv, chain, path = match.groups()
    try:
        return InputOutput(store.base_name(drv), tuple(chain.split("^"))), store.base_name(path)
    except InvalidStorePath as error:
        raise CouldNotRun(f"--realisation {text}: {error}. Give paths of this store.") from None


def _what_is_wrong(store: Store, text: str) -> str:
    if "!" in text and "^" not in text:
        return f": an output is written with '^', not '!': {text.replace('!', '^')}"
    match = _OTHER_PATH.fullmatch(text)
    if match is None:
        return " is malformed. Write it as DRV^OUTPUT=PATH."
    return (
        f": '{match[1]}' is not a store path. Give the path that starts with {store.store_dir.path}, or its base name;"
        " for a link, give the output of `realpath`."
    )
