"""Reports in batches that hold the graph lock briefly: some 20 derivations, or fewer with many inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..verbs.load import Report

MOST_REPORTS = 20
INPUTS_OF_ONE = 20
"""So many inputs take about as long as one more derivation."""


def in_batches(reports: Sequence[Report]) -> Iterator[list[Report]]:
    """The reports of load or resolve, in their order, in batches of bounded weight."""
    batch: list[Report] = []
    weight = 0.0
    for report in reports:
        more = 1 + len(report.get("inputs") or report.get("samples") or ()) / INPUTS_OF_ONE
        if batch and weight + more > MOST_REPORTS:
            yield batch
            batch, weight = [], 0.0
        batch.append(report)
        weight += more
    if batch:
        yield batch
