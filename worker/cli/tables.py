"""The table of builds: one line for each build in a pipe, fitted to the width on a terminal."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from .drawing import ASCII, BOXES, Node, draw_steps
from .words import STATUS_WORDS, base_name, counted, message_lines, printable, short_name

WITH_OUTPUTS = (0, 6)
"""Statuses of builds that have outputs."""
DEPENDENCY_FAILED = 2
MESSAGE_LINES = 4
INDENT = 7


def show_builds(reports: Sequence[dict[str, Any]]) -> None:
    """Print all builds, and their sum, on stdout."""
    width = _terminal_width()
    show([*builds_table(reports, width), Text(), *summary(reports)])


def show_steps(report: dict[str, Any]) -> None:
    """Print the steps of one build on stdout, with its resolutions drawn as a tree."""
    show(draw_steps(report, _terminal_width(), ascii_only=not _shows_boxes()))


def show_tree(root: Node) -> None:
    """Print a tree on stdout."""
    show(list(root.lines(BOXES if _shows_boxes() else ASCII)))


def show(lines: Sequence[Text]) -> None:
    """Print lines on stdout: in colours on a terminal, plain in a pipe. Nothing is cut off or wrapped."""
    if _terminal_width() is None:
        for line in lines:
            click.echo(line.plain.rstrip())
        return
    console = Console()
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def builds_table(reports: Sequence[dict[str, Any]], width: int | None) -> list[Text]:
    """Return the lines of the table. `width` of the terminal; None for a pipe: then each build has one line.

    The outputs of a build, or the reason why it has none, follow in its line if the terminal is wide enough for all
    builds; else they have lines of their own below. If these are still too long, store paths lose their directory,
    which is then named once.
    """
    rows = [(str(report["build"]), _job(report), _status(report), _how(report)) for report in reports]
    widths = [max([len(head), *(len(row[column]) for row in rows)]) for column, head in enumerate(_HEADS)]
    details = [build_details(report, short=width is not None) for report in reports]
    beside = sum(widths) + 2 * len(widths)
    longest = max((len(line) for lines in details for line in lines), default=0)
    inline = width is None or beside + longest <= width
    store = _store_directory(reports) if width is not None and not inline and INDENT + longest > width else None

    head = Text(_row(_HEADS, widths) + (f"  {_DETAILS}" if inline else ""), style="bold")
    table = [head]
    for report, row, lines in zip(reports, rows, details, strict=True):
        text = Text(_row(row, widths))
        start = text.plain.index(row[2], widths[0] + 2 + len(row[1]))
        text.stylize(_style(report), start, start + len(row[2]))
        if width is None:
            table.append(text.append("  " + " ".join(lines)))
            continue
        if inline and lines:
            text.append("  " + lines[0])
        table.append(text)
        pad = " " * (beside if inline else INDENT)
        style = "default" if report["finished"] and report["status"] in WITH_OUTPUTS else "dim"
        below = lines[1:] if inline else _folded(lines, width - INDENT)
        table += [Text(pad + (line.removeprefix(f"{store}/") if store else line), style=style) for line in below]
    if store:
        table += [Text(), Text(f"Outputs are in {store}")]
    return table


def build_details(report: dict[str, Any], *, short: bool) -> list[str]:
    """Return the outputs of a build; if it has none, the reason in a few lines. `short`: shorten names in messages."""
    if not report["finished"]:
        held_up = report.get("held_up")
        if not held_up:
            return []
        other = held_up["drv"] != base_name(report["drv"])
        named = short_name if short else base_name
        return [(f"{named(held_up['drv'])}: " if other else "") + printable(held_up["reason"])]
    if report["status"] in WITH_OUTPUTS:
        return [path for _, path in sorted(report["outputs"].items(), key=_out_first) if path]
    lines = message_lines(report.get("message"), short=short)
    culprit = _culprit(report)
    if culprit is not None and report["status"] == DEPENDENCY_FAILED:
        name = short_name(culprit["drv"]) if short else base_name(culprit["drv"])
        where = f" in build {culprit['propagated_from']}" if culprit["propagated_from"] else ""
        lines = [f"{name} failed{where}: {lines[0] if lines else 'no reason given'}", *lines[1:]]
    return lines[:MESSAGE_LINES]


def summary(reports: Sequence[dict[str, Any]]) -> list[Text]:
    """Return the number of builds by status, and the work that was done for them."""
    words = Counter(_word(report) for report in reports)
    cached = sum(1 for report in reports if report["finished"] and report["status"] == 0 and report["cached"])
    parts = [
        f"{number} {word}" + (f" ({cached} cached)" if word == STATUS_WORDS[0] and cached else "")
        for word, number in words.items()
    ]
    work = [
        f"{len(built(reports))} built",
        f"{len(tried(reports))} failed",
        f"{len(resolved(reports))} resolved",
        f"{len(cut_off(reports))} cut off early",
    ]
    return [Text(f"{counted(len(reports), 'build')}: {', '.join(parts)}"), Text(f"Derivations: {', '.join(work)}")]


def built(reports: Sequence[dict[str, Any]]) -> set[str]:
    """Return the derivations that were built for these builds."""
    return {step["drv"] for step in _own_attempts(reports) if step["status"] == 0}


def tried(reports: Sequence[dict[str, Any]]) -> set[str]:
    """Return the derivations whose attempts for these builds failed."""
    return {step["drv"] for step in _own_attempts(reports) if step["status"] not in (None, 0, 3)}


def _own_attempts(reports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps that ran a builder, each once, without the steps that another build shares with these."""
    return [
        step
        for report in reports
        for step in report["steps"]
        if step["type"] == 0 and step["status"] not in (8, 13) and step["propagated_from"] is None
    ]


def resolved(reports: Sequence[dict[str, Any]]) -> set[str]:
    """Return the derivations that were resolved for these builds, without those whose failure was cached."""
    found = set()
    for report in reports:
        known = {base_name(step["drv"]) for step in report["steps"] if step["status"] == 8}
        found |= {step["drv"] for step in report["steps"] if step["status"] == 13 and step["resolved"] not in known}
    return found


def cut_off(reports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the builds with a derivation that resolved to an already realised one."""
    found = []
    for report in reports:
        there = {base_name(step["drv"]) for step in report["steps"] if step["type"] == 1}
        if any(step["resolved"] in there for step in report["steps"]):
            found.append(report)
    return found


_HEADS = ("build", "job", "status", "")
_DETAILS = "outputs, or why there are none"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    build, *rest = zip(cells, widths, strict=True)
    return "  ".join([build[0].rjust(build[1]), *(cell.ljust(width) for cell, width in rest)])


def _folded(lines: Sequence[str], width: int) -> list[str]:
    """Return the lines, with long lines broken between words."""
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, max(20, width), break_long_words=False, break_on_hyphens=False) or [""]
    ]


def _job(report: dict[str, Any]) -> str:
    return printable(report["job"])


def _word(report: dict[str, Any]) -> str:
    return STATUS_WORDS.get(report["status"], f"status {report['status']}") if report["finished"] else "queued"


def _status(report: dict[str, Any]) -> str:
    return _word(report) + (":" if not report["finished"] and report.get("held_up") else "")


def _how(report: dict[str, Any]) -> str:
    if report["finished"] and report["cached"]:
        return "cached"
    return "built" if report["finished"] and report["status"] in WITH_OUTPUTS else "-"


def _style(report: dict[str, Any]) -> str:
    if not report["finished"]:
        return "yellow"
    return "green" if report["status"] == 0 else "yellow" if report["status"] in (3, 4, 6) else "red"


def _out_first(output: tuple[str, str | None]) -> tuple[bool, str]:
    return output[0] != "out", output[0]


def _culprit(report: dict[str, Any]) -> dict[str, Any] | None:
    failed = [step for step in report["steps"] if step["status"] not in (None, 0, 13)]
    return failed[-1] if failed else None


def _store_directory(reports: Sequence[dict[str, Any]]) -> str | None:
    directories = {report["drv"].rpartition("/")[0] for report in reports}
    return directories.pop() if len(directories) == 1 else None


def _terminal_width() -> int | None:
    return Console().width if sys.stdout.isatty() else None


def _shows_boxes() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")
