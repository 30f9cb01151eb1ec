"""The status of the farm, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from .words import base_name, counted, duration, printable, short_name

STAGES = {
    "unloaded": "to be loaded",
    "waiting": "wait for an input, or no build needs them",
    "resolvable": "can be resolved",
    "resolved": "wait for their resolved derivations",
    "buildable": "can be built",
    "building": "are being built",
    "realised": "have all wanted outputs",
    "failed": "have failed",
}
"""All stages, in the order in which derivations go through them."""


def status_in_words(status: Mapping[str, Any]) -> list[Text]:
    """Return the answer of the database's `status()` as text."""
    lines = [
        *_builds(status),
        *_running(status["running"]),
        *_workers(status["workers"]),
        *_unsupported(status),
        *_derivations(status),
    ]
    return lines[1:]  # each part begins with an empty line


def _builds(status: Mapping[str, Any]) -> Iterator[Text]:
    builds, number = status["builds"], status["unfinished_builds"]
    yield from _head("no unfinished builds" if not number else counted(number, "unfinished build"))
    columns = [[str(build["build"]), printable(build["job"]), _why(build)] for build in builds]
    yield from _aligned(columns)
    if number > len(builds):
        yield Text(f"  and {number - len(builds)} more")


def _why(build: Mapping[str, Any]) -> str:
    held_up = build.get("held_up")
    if not held_up:
        return str(build["stage"])
    reason = printable(held_up["reason"])
    return reason if held_up["drv"] == base_name(build["drv"]) else f"{short_name(held_up['drv'])}: {reason}"


def _running(steps: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    if steps:
        yield from _head(counted(len(steps), "running step"))
    yield from _aligned(
        [
            [
                duration(step["seconds"]), short_name(step["drv"]), f"build {step['build']} step {step['stepnr']}",
                printable(step["worker"]),
            ]
            for step in sorted(steps, key=lambda step: -step["seconds"])
        ]
    )  # fmt: skip


def _workers(workers: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    yield from _head(counted(len(workers), "worker") if workers else "no worker is running")
    yield from _aligned(
        [
            [
                str(worker["worker"]), printable(worker["name"]), ", ".join(worker["verbs"]),
                ", ".join(worker["systems"]), f"last seen {duration(worker['silent_seconds'])} ago",
            ]
            for worker in workers
        ]
    )  # fmt: skip


def _unsupported(status: Mapping[str, Any]) -> Iterator[Text]:
    machines = status["unsupported"]
    if machines:
        limit = machines[0]["limit_seconds"]
        yield from _head("no machine yet" + ("" if limit is None else f", failure after {duration(limit)}"))
        yield from _aligned([[duration(machine["seconds"]), printable(machine["reason"])] for machine in machines])


def _derivations(status: Mapping[str, Any]) -> Iterator[Text]:
    stages = status["stages"]
    yield from _head(counted(sum(stages.values()), "known derivation"))
    yield from _aligned([[str(stages[stage]), stage, words] for stage, words in STAGES.items() if stages.get(stage)])


def _head(words: str) -> Iterator[Text]:
    yield Text()
    yield Text(words[0].upper() + words[1:], style="bold")


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[Text]:
    """Yield rows in aligned columns: the first column right-aligned, the last without padding."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].rjust(widths[0]), *(cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield Text("  " + "  ".join(cells).rstrip())
