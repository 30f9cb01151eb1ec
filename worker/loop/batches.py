"""Reports in batches that hold the graph lock briefly: some 20 derivations, fewer with many inputs, more if quick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..verbs.load import Report

MOST_REPORTS = 20
INPUTS_OF_ONE = 20
"""Inputs that take about as long as one more derivation."""
MOST_INPUTS_AT_A_TIME = 250
"""A report with so many inputs holds the graph lock for about 30 ms."""
BATCH_SECONDS = 0.01
MOST_IF_QUICK = 100


class Batches:
    """Batches for one procedure; they grow if the last one took less than `BATCH_SECONDS`, within limits."""

    def __init__(self) -> None:
        self._most = float(MOST_REPORTS)

    def of(self, parts: Iterable[Sequence[Report]]) -> Iterator[list[Report]]:
        """Yield batches as `in_batches` does."""
        return in_batches(parts, self._most)

    def took(self, batch: Sequence[Report], seconds: float) -> None:
        """Record how long the procedure took with a batch."""
        as_many = sum(map(_weight, batch)) * BATCH_SECONDS / max(seconds, 1e-6)
        self._most = min(max(as_many, MOST_REPORTS), MOST_IF_QUICK)


def in_batches(parts: Iterable[Sequence[Report]], most: float = MOST_REPORTS) -> Iterator[list[Report]]:
    """Yield the reports of load or resolve, in their order, in batches of bounded weight.

    Parts are combined, or split if they are too large. A part is a layer of the graph; it takes less time unsplit.
    """
    batch: list[Report] = []
    left = most
    for part in parts:
        if batch and sum(map(_weight, part)) > left:
            yield batch
            batch, left = [], most
        for report in part:
            if batch and _weight(report) > left:
                yield batch
                batch, left = [], most
            batch.append(report)
            left -= _weight(report)
    if batch:
        yield batch


def in_parts(report: Report) -> Iterator[Report]:
    """Yield a report of load in parts of bounded numbers of inputs, each to be sent alone; the last completes it."""
    inputs = report.get("inputs", [])
    while len(inputs) > MOST_INPUTS_AT_A_TIME:
        part = {"more": True, "inputs": inputs[:MOST_INPUTS_AT_A_TIME]}
        yield {"lease": report["lease"], "drv": report["drv"], **part}
        inputs = inputs[MOST_INPUTS_AT_A_TIME:]
    yield {**report, "inputs": inputs} if "inputs" in report else report


def _weight(report: Report) -> float:
    needed = [*report.get("inputs", ()), *report.get("chains", ())]
    named = sum(max(len(one["outputs"]), 1) for one in needed)
    return 1 + (named or len(report.get("samples", ()))) / INPUTS_OF_ONE
