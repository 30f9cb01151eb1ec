"""Tables of builds and steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

STATUS_WORDS = {
    0: "succeeded", 1: "failed", 2: "dependency failed", 3: "aborted", 4: "cancelled", 6: "failed with output",
    7: "timed out", 8: "cached failure", 9: "unsupported system", 10: "log limit exceeded", 11: "output too large",
    12: "not deterministic", 13: "resolved",
}


def show_builds(reports: Sequence[dict[str, Any]]) -> None:
    """Print one line for each build."""
    table = Table("build", "job", "status", "", "outputs", box=None)
    for report in reports:
        word = STATUS_WORDS.get(report["status"], "?") if report["finished"] else "queued"
        table.add_row(
            str(report["build"]), report["job"], word,
            ("cached" if report["cached"] else "built") if report["finished"] else "",
            "\n".join(filter(None, report["outputs"].values())),
        )
    Console(soft_wrap=True).print(table)
