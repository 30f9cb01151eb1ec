"""`what-if`: the changes downstream if outputs had other paths."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import click
from rich.text import Text

from ..database.records import Records
from ..nix.client import Client
from ..nix.derivation import DerivationError, InputOutput
from ..nix.errors import NixError
from ..nix.resolve import Resolved, resolve
from ..nix.store import Store
from ..nix.store_path import InvalidStorePath
from ..verbs.resolve import follow_chains
from ..what_if import Fate, Finding, what_if
from .errors import CouldNotRun, clear_errors
from .tables import show
from .target import Options, open_store, store_identity, target_options
from .trace import open_records, trace_of
from .words import counted, first_line, short_name

_GIVEN = re.compile(r"([^^]+)\^([^^]+?)=(/.*|[0-9a-z]{32}-.*)")
_DRV = re.compile(r"[0-9a-z]{32}-[0-9a-zA-Z+._?=-]+\.drv")
_STYLES = {Fate.CUT_OFF: "magenta", Fate.BUILT: "green", Fate.FAILS: "red", Fate.REFUSED: "red"}
_WORDS = {
    Fate.CUT_OFF: "would be cut off early",
    Fate.BUILT: "would be built",
    Fate.FAILS: "would fail",
    Fate.REFUSED: "could not be resolved",
    Fate.UNKNOWN: "unknown until others are built",
    Fate.SAME: "would stay as they are",
}


@click.command("what-if")
@click.argument("given", nargs=-1, required=True, metavar="DRV^OUT=PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with base names of paths.")
@target_options
@clear_errors
def what_if_command(options: Options, given: tuple[str, ...], as_json: bool) -> None:
    """Show the effect on all dependents of output OUT of DRV, if the output had another path.

    The command lists dependents that would resolve differently: those that would be cut off early, those that would
    have to be built, and those that stay unknown until others are built. It changes nothing in the database or the
    store. The database has to know DRV; PATH need not be in the store. The command covers only dependents that the
    database knows: if a derivation's outputs were valid when it was loaded, the database does not know its inputs.
    """
    store = open_store(options)
    with open_records(options) as records, store.connect() as client:
        records.check_store(directory=store.store_dir.path, identity=store_identity(options))
        paths: dict[InputOutput, str] = {}
        for output, path in _parse(store, given).items():
            _check(store, client, output, path)
            paths.update(dict.fromkeys(_originals(records, output), path))

        def resolve_in_thought(drv: str, inputs: Mapping[InputOutput, str]) -> Resolved:
            derivation = store.read_derivation(drv, client)
            known: dict[str, dict[str, str]] = {}
            for (input_drv, (name,)), path in inputs.items():
                known.setdefault(input_drv, {})[name] = path
            outputs = follow_chains(derivation, known)
            return resolve(derivation, drv, outputs, version=store.nix_version, store_dir=store.store_dir)

        findings = what_if(paths, records.dependents, records.outcomes, resolve_in_thought, store.store_dir)
    if as_json:
        named = {str(output): path for output, path in paths.items()}
        click.echo(json.dumps({"given": named, "derivations": [dataclasses.asdict(one) for one in findings]}))
    else:
        show(in_words(findings))


def _parse(store: Store, given: Sequence[str]) -> dict[InputOutput, str]:
    paths: dict[InputOutput, str] = {}
    for text in given:
        match = _GIVEN.fullmatch(text)
        if match is None:
            raise CouldNotRun(f"{text} is malformed. Write it as DRV^OUT=PATH.")
        drv, name, path = match.groups()
        try:
            output, path = InputOutput(store.base_name(drv), (name,)), store.base_name(path)
        except InvalidStorePath as error:
            raise CouldNotRun(f"{text}: {error}. Give paths of this store.") from None
        if paths.setdefault(output, path) != path:
            raise CouldNotRun(f"'{output}' is given two paths, '{paths[output]}' and '{path}': choose one of them.")
    return paths


def _check(store: Store, client: Client, output: InputOutput, path: str) -> None:
    """Refuse a path that the output can't have, if the store still has the derivation."""
    drv, (name,) = output
    try:
        derivation = store.read_derivation(drv, client)
    except (NixError, DerivationError, InvalidStorePath):
        return
    if name not in derivation.outputs:
        raise CouldNotRun(f"'{drv}' has no output '{name}', only {', '.join(derivation.outputs)}.")
    known = derivation.output_path(name, store.store_dir)
    if known is not None and known != path:
        raise CouldNotRun(
            f"'{output}' can't have another path than '{known}': name an output that is content-addressed."
        )


def _originals(records: Records, output: InputOutput) -> Iterator[InputOutput]:
    """Yield the output, and that output of all derivations that resolve to this one: they have the same path."""
    yield output
    for one in trace_of(records, output.drv_path)["resolved_from"]:
        if one["in_force"]:
            yield InputOutput(one["drv"], output.chain)


def in_words(findings: Sequence[Finding]) -> list[Text]:
    """Return a line for each derivation that would not stay as it is, and the numbers."""
    if not findings:
        return [Text("no known derivation depends on the given outputs")]
    told = [one for one in findings if one.fate is not Fate.SAME]
    width = max((len(one.fate) for one in told), default=0)
    lines = [
        Text.assemble((one.fate.ljust(width + 2), _STYLES.get(one.fate, "")), short_name(one.drv), _details(one))
        for one in told
    ]
    numbers = Counter(one.fate for one in findings)
    differently = sum(one.resolved is not None and one.resolved != one.before for one in findings)
    parts = [f"{numbers[fate]} {words}" for fate, words in _WORDS.items() if numbers[fate]]
    return [*lines, Text(f"{counted(differently, 'derivation')} would resolve differently: {', '.join(parts)}", "bold")]


def _details(one: Finding) -> str:
    resolved = f" to {short_name(one.resolved)}" if one.resolved else ""
    if one.fate is Fate.CUT_OFF and not one.changed:
        return f"{resolved}, with the same outputs"
    changed = [f"{name} would be {short_name(path)}" for name in one.changed if (path := one.outputs[name])]
    reason = f": {_DRV.sub(lambda found: short_name(found[0]), first_line(one.reason))}" if one.reason else ""
    return resolved + (f", {', '.join(changed)}" if changed else "") + reason
