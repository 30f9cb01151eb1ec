"""Reports in batches that hold the graph lock briefly: some 20 derivations, or fewer with many inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..verbs.load import Report

MOST_REPORTS = 20
INPUTS_OF_ONE = 20
"""So many inputs take about as long as one more derivation."""


def in_batches(parts: Iterable[Sequence[Report]]) -> Iterator[list[Report]]:
    """The reports of load or resolve, in their order, in batches of bounded weight.

    Parts are put together, or cut if need be. A layer of the graph, which is a part, takes less when it is not cut.
    """
    batch: list[Report] = []
    left = float(MOST_REPORTS)
    for part in parts:
        if batch and sum(map(_weight, part)) > left:
            yield batch
            batch, left = [], MOST_REPORTS
        for report in part:
            if batch and _weight(report) > left:
                yield batch
                batch, left = [], MOST_REPORTS
            batch.append(report)
            left -= _weight(report)
    if batch:
        yield batch


def _weight(report: Report) -> float:
    return 1 + len(report.get("inputs") or report.get("samples") or ()) / INPUTS_OF_ONE
