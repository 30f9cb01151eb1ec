"""`trace`: the history of a derivation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any

import click
from rich.text import Text

from ..database.records import Records
from .drawing import Node
from .errors import CouldNotRun, clear_errors
from .tables import show_tree
from .target import Options, open_database, target_options
from .words import base_name, duration, first_line, printable, short_name, written_by

INPUTS_SHOWN = 10
"""The number of inputs of a resolution that are shown as text; --json has all."""

Json = Mapping[str, Any]


@contextmanager
def open_records(options: Options) -> Iterator[Records]:
    """Open the records of the database that the options name."""
    with open_database(options) as conninfo:
        records = Records(conninfo, connections=1)
        try:
            yield records
        finally:
            records.close()


def trace_of(records: Records, drv: str) -> dict[str, Any]:
    """Return the trace of a derivation that the user named. Raises CouldNotRun if the database has no record of it."""
    found = records.trace(base_name(drv.rstrip("/")))
    if found is None:
        raise CouldNotRun(
            f"this database does not know '{printable(drv)}'. Name a derivation that a build has needed, or its"
            " resolved derivation, by the path or the base name of the .drv file."
        )
    return found


@click.command()
@click.argument("drv")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object, with base names of paths.")
@target_options
@clear_errors
def trace(options: Options, drv: str, as_json: bool) -> None:
    """Show the history of DRV: its resolutions with their inputs, and outputs that were built, found, and lost.

    For each resolution: the difference from the previous resolution of the same job, the reason if nothing had to be
    built, and failures of the resolved derivation.
    """
    with open_records(options) as records:
        found = trace_of(records, drv)
    if as_json:
        click.echo(json.dumps(found))
    else:
        show_tree(trace_in_words(found))


def trace_in_words(found: Json) -> Node:
    """Return the answer of the database's `trace()` as text."""
    root = Node(
        Text.assemble(
            (short_name(found["drv"]), "bold"),
            f"{written_by(found)}  {found['kind'] or 'not loaded'}, {found['stage']}",
        )
    )
    events = [
        *((one["time"], _resolution(one)) for one in found["resolutions"]),
        *((group[0]["time"], _realisation(group)) for group in _attempts(found["realisations"])),
        *((one["time"], _failure(one)) for one in found["failures"]),
    ]
    root.children += [node for _, node in sorted(events, key=lambda event: datetime.fromisoformat(event[0]))]
    for one in found["resolved_from"]:
        cut_off = ", cut off early" if one["cut_off"] else ""
        root.add(_when(one), short_name(one["drv"]), (" resolved to this one", "cyan"), _for(one), (cut_off, "magenta"))
    if not root.children:
        root.add("no events yet")
    return root


def _resolution(one: Json) -> Node:
    released = f", released {_time(one['released'])}" if one["released"] else ""
    head = ("resolved to ", "cyan"), short_name(one["resolved"]), _for(one), (released, "yellow")
    node = Node(Text.assemble(_when(one), *head))
    if one["previous"]:
        node.add(compared(one))
    if one["cut_off"]:
        node.add((spared(one), "magenta"))
    for group in _attempts(one["realisations"]):
        if _belongs(group[0], one):
            node.children.append(_realisation(group))
    node.children += [_failure(failure) for failure in one["failures"] if _is_met(failure, one)]
    if one["inputs"]:
        filled = node.add(("filled in", "dim"))
        for drv, output, path in one["inputs"][:INPUTS_SHOWN]:
            name = short_name(drv) if drv else "a forgotten derivation"
            filled.add(f"{name}^{output}", (" is ", "dim"), short_name(path))
        if len(one["inputs"]) > INPUTS_SHOWN:
            filled.add(f"and {len(one['inputs']) - INPUTS_SHOWN} more; --json has all")
    return node


def compared(one: Json) -> str:
    """Return the difference from the previous resolution, in words."""
    previous, difference = one["previous"], one["difference"]
    before = f"the previous one, {short_name(previous['drv'])}{_for(previous)}"
    if difference is None:
        if previous["resolved"] == one["resolved"]:
            return f"the same as {before}: all inputs have the same paths"
        return f"the inputs have the same paths as in {before}, but the derivation is another"
    name, path, old = f"{difference['input']}^{difference['output']}", difference["path"], difference["before"]
    if path is None:
        return f"differs from {before}, which used {name}, {short_name(old)}"
    if old is None:
        return f"differs from {before}, which did not use {name}, now {short_name(path)}"
    return f"differs from {before}: {name} was {short_name(old)}, now {short_name(path)}"


def spared(one: Json) -> str:
    """Return the reason why a resolution was cut off, in words."""
    known = one["known_from"]
    if known is None:
        return "cut off early: known from a record that was forgotten"
    seconds = "" if known["seconds"] is None else f"; {duration(known['seconds'])} spared"
    if known["source"] != "built":
        return "cut off early: its outputs were in the store already"
    if _moment(known) > _moment(one):
        return f"cut off early: shared the attempt of {_step(known)}{seconds}"
    return f"cut off early: known from {_step(known)}, {_time(known['time'])}{seconds}"


def _belongs(realisation: Json, resolution: Json) -> bool:
    """Return whether the output was built or found for this resolution."""
    released = resolution["released"]
    return not resolution["cut_off"] and (
        _moment(realisation) >= _moment(resolution)
        and (released is None or _moment(realisation) <= datetime.fromisoformat(released))
    )


def _is_met(failure: Json, resolution: Json) -> bool:
    """Return whether the resolved derivation had a cached failure then, or failed while the resolution was in force."""
    cleared, released = failure["cleared"], resolution["released"]
    return (cleared is None or datetime.fromisoformat(cleared) > _moment(resolution)) and (
        released is None or _moment(failure) <= datetime.fromisoformat(released)
    )


def _attempts(realisations: Sequence[Json]) -> list[list[Json]]:
    """Group the realisations that were recorded together."""
    return [list(group) for _, group in groupby(realisations, lambda one: (one["time"], one["source"], one["stepnr"]))]


def _realisation(group: Sequence[Json]) -> Node:
    first = group[0]
    if first["source"] == "built":
        machine = f" on {printable(first['machine'])}" if first["machine"] else ""
        seconds = "" if first["seconds"] is None else f" in {duration(first['seconds'])}"
        node = Node(Text.assemble(_when(first), ("built", "green"), f"{seconds}{_for(first)}{machine}"))
    else:
        word = "found in the store" if first["source"] == "local" else first["source"]
        node = Node(Text.assemble(_when(first), (word, "magenta"), _for(first)))
    for one in group:
        lost = f", lost {_time(one['ceased'])}" if one["ceased"] else ""
        node.add((f"{one['output']} ", "dim"), one["path"], (lost, "yellow"))
    return node


def _failure(one: Json) -> Node:
    words = f"failed ({one['class']}): {first_line(one['message'])}"
    cleared = f"; restarted {_time(one['cleared'])}" if one["cleared"] else ""
    return Node(Text.assemble(_when(one), (words, "red"), _for(one), cleared))


def _for(one: Json) -> str:
    return "" if one["build"] is None else f", for {_step(one)}"


def _step(one: Json) -> str:
    stepnr = one.get("stepnr")
    return f"build {one['build']}" + (f" step {stepnr}" if stepnr else "")


def _when(one: Json) -> tuple[str, str]:
    return f"{_time(one['time'])}  ", "dim"


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _moment(one: Json) -> datetime:
    return datetime.fromisoformat(one["time"])
