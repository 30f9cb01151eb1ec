"""`explain`: why a build waits; `graph`: the derivations of a build; `check`: whether the database is sound."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.text import Text

from ..database.records import Records
from .errors import CouldNotRun, clear_errors
from .tables import show
from .target import Options, open_database, target_options
from .words import STATUS_WORDS, counted, duration, printable, short_name, written_by


def _with_records(options: Options, action: Callable[[Records], Any]) -> Any:
    with open_database(options) as conninfo:
        records = Records(conninfo, connections=1)
        try:
            return action(records)
        finally:
            records.close()


@click.command()
@click.argument("what", metavar="DRV-OR-BUILD")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@target_options
@clear_errors
def explain(options: Options, what: str, as_json: bool) -> None:
    """Explain why a derivation or a build is not built yet, link by link, or how it ended."""

    def ask(records: Records) -> dict[str, Any] | None:
        return records.explain(build=int(what)) if what.isdecimal() else records.explain(drv=what)

    found = _with_records(options, ask)
    if found is None:
        raise CouldNotRun(f"the database has no {what}: name a build by its number, or a .drv that a build needs.")
    if as_json:
        click.echo(json.dumps(found))
    else:
        show(explanation(found))


def explanation(found: Mapping[str, Any]) -> list[Text]:
    """Return the answer of the database's `explain()` as text."""
    lines = []
    if build := found["build"]:
        lines.append(Text(f"build {build['build']} ({printable(build['job'])}): {_ending(build)}", style="bold"))
    elif found["wanted_by"]:
        lines.append(Text(f"needed by build {found['wanted_by']}"))
    for depth, link in enumerate(found["chain"]):
        how = "" if depth == 0 else f"{link['how']} "
        lines.append(
            Text.assemble(
                "  " * depth,
                (how, "dim"),
                short_name(link["drv"]),
                (written_by(link), "dim"),
                (f"  {_reason(link)}", _STYLES.get(link["stage"], "")),
            )
        )
    return lines


_STYLES = {"failed": "red", "realised": "green", "building": "cyan"}


def _ending(build: Mapping[str, Any]) -> str:
    if not build["finished"]:
        return "not finished"
    return STATUS_WORDS.get(build["status"], f"status {build['status']}") + (", cached" if build["cached"] else "")


def _reason(link: Mapping[str, Any]) -> str:
    reason = " ".join(printable(link["reason"]).split())
    claim = link["claim"]
    if not claim:
        return reason
    step = f", step {claim['stepnr']} of build {claim['build']}" if claim["stepnr"] else ""
    return f"{reason} by {printable(claim['worker'])} for {duration(claim['seconds'])}{step}"


@click.command()
@click.argument("build", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: nodes and edges.")
@target_options
@clear_errors
def graph(options: Options, build: int, as_json: bool) -> None:
    """Draw the derivations that BUILD needs, with their stages and their resolved derivations."""
    found = _with_records(options, lambda records: records.build_graph(build))
    if found is None:
        raise CouldNotRun(f"there is no build {build}.")
    if as_json:
        click.echo(json.dumps(found))
    else:
        show(draw_graph(found))


def draw_graph(found: Mapping[str, Any]) -> list[Text]:
    """Draw the answer of the database's `build_graph()`: inputs below their dependents; repetitions are only named."""
    nodes = {node["drv"]: node for node in found["nodes"]}
    chains: dict[str, list[str]] = {drv: [] for drv in nodes}
    for chain in found["chains"]:
        chains[chain["drv"]].append("^".join([short_name(chain["input"]), *chain["outputs"]]))
    inputs: dict[str, list[str]] = {drv: [] for drv in nodes}
    for edge in found["edges"]:
        inputs[edge["drv"]].append(edge["input"])
    if found["root"] not in nodes:
        return [Text(f"{short_name(found['root'])} is not loaded yet")]
    lines: list[Text] = []
    drawn: set[str] = set()
    pending = [(0, found["root"])]
    while pending:
        depth, drv = pending.pop()
        node = nodes[drv]
        line = Text.assemble("  " * depth, short_name(drv), (written_by(node), "dim"), " ")
        line.append(node["stage"], style=_STYLES.get(node["stage"], "yellow"))
        if node["resolved_to"]:
            line.append(f" resolved to {short_name(node['resolved_to'])}", style="cyan")
        lines.append(line)
        if drv not in drawn:
            lines += [Text("  " * (depth + 1) + f"needs {chain}", style="dim") for chain in chains[drv]]
            pending += [(depth + 1, name) for name in reversed(inputs[drv])]
        elif inputs[drv]:
            line.append(" (see above)", style="dim")
        drawn.add(drv)
    return [*lines, Text(f"{counted(len(nodes), 'derivation')}, {len(found['edges'])} dependencies")]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: broken invariants, with row counts.")
@target_options
@clear_errors
def check(options: Options, as_json: bool) -> None:
    """Check the invariants of the database. Exit status 1 if an invariant is broken."""
    broken = _with_records(options, lambda records: records.invariant_violations())
    if as_json:
        click.echo(json.dumps(broken))
    else:
        for view, rows in broken.items():
            click.echo(f"{view}: {counted(rows, 'row')}; look at them with: select * from resolver.{view}")
        if not broken:
            click.echo("sound: no invariant is broken")
    sys.exit(1 if broken else 0)
