"""`savings`: the build time that early cut-off saved."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import click
from rich.text import Text

from ..database.records import Saving
from .errors import CouldNotRun, clear_errors
from .tables import show
from .target import Options, target_options
from .trace import open_records
from .words import duration

NUMBERS = 1 << 31
"""Hydra's numbers of builds and evaluations are smaller."""


@click.command()
@click.argument("build", type=int, required=False)
@click.option("--eval", "evaluation", type=int, metavar="EVAL", help="Only the new builds of this evaluation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each evaluation.")
@target_options
@clear_errors
def savings(options: Options, build: int | None, evaluation: int | None, as_json: bool) -> None:
    """Show the build time that early cut-off saved: for each of the last evaluations, for one, or for one BUILD.

    A resolution is cut off if nothing had to be built for it. It saves the seconds that the earlier build took.
    """
    if build is not None and evaluation is not None:
        raise CouldNotRun("BUILD and --eval exclude each other: choose one of them.")
    with open_records(options) as records:
        possible = -NUMBERS <= (build or evaluation or 0) < NUMBERS
        found = records.savings(build=build, evaluation=evaluation) if possible else []
    if not found and build is not None:
        raise CouldNotRun(f"there is no build {build}.")
    if not found and evaluation is not None:
        raise CouldNotRun(f"there is no evaluation {evaluation} with new builds.")
    if as_json:
        for one in found:
            click.echo(json.dumps(dataclasses.asdict(one)))
    else:
        show(savings_table(found))


def savings_table(found: Sequence[Saving]) -> list[Text]:
    """Return a line for each evaluation, and their sum."""
    if not found:
        return [Text("nothing was resolved in the last evaluations")]
    total = ["all", *_cells(found)]
    rows = [["-" if one.evaluation is None else str(one.evaluation), *_cells([one])] for one in found]
    rows = [["evaluation", "builds", "resolutions", "cut off", "spared"], *rows, *([total] if len(found) > 1 else [])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(total))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [Text(line, style="" if 0 < number <= len(found) else "bold") for number, line in enumerate(lines)]


def _cells(found: Sequence[Saving]) -> list[str]:
    return [
        str(sum(one.builds for one in found)),
        str(sum(one.resolutions for one in found)),
        str(sum(one.cut_off for one in found)),
        duration(sum(one.seconds for one in found)),
    ]
