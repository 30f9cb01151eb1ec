"""The procedures that show history, explain, and forget: one method each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.rows import args_row, tuple_row

from .procedures import Procedures


@dataclass(frozen=True, slots=True)
class Saving:
    """The work that early cut-off saved, for the new builds of an evaluation, or one build. `seconds`: build time."""

    evaluation: int | None
    builds: int
    resolutions: int
    cut_off: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Dependent:
    """A derivation that directly depends on others. Paths are base names.

    `resolved`: its last resolved derivation. `inputs`: for each input the outputs that it uses, `outputs`: its own
    outputs; each with its last path. `wanted`: its own outputs that a build or a dependent wants.
    """

    drv: str
    kind: str | None
    must_resolve: bool
    resolved: str | None
    inputs: Mapping[str, Mapping[str, str | None]]
    outputs: Mapping[str, str | None]
    wanted: Sequence[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The recorded result of a derivation: its valid outputs; a cached failure."""

    drv: str
    outputs: Mapping[str, str] | None
    failure: str | None


class Records(Procedures):
    """The procedures for users, and all procedures for workers."""

    def check_store(self, *, directory: str, identity: str) -> None:
        """Raise OtherStoreError if the database belongs to another store."""
        self._value("check_store", directory, identity)

    def trace(self, drv: str) -> dict[str, Any] | None:
        """Return the recorded history of a derivation; `None` if it is unknown."""
        answer = self._value("trace", drv)
        return None if answer is None else dict(answer)

    def savings(self, *, build: int | None = None, evaluation: int | None = None) -> list[Saving]:
        """Return the savings of a build, of an evaluation, or of the last evaluations. Empty: it does not exist."""
        return self._repeated("savings", [build, evaluation], args_row(Saving))

    def dependents(self, drvs: Sequence[str]) -> list[Dependent]:
        """Return the direct dependents of these derivations."""
        return self._repeated("dependents", [list(drvs)], args_row(Dependent)) if drvs else []

    def outcomes(self, drvs: Sequence[str]) -> dict[str, Outcome]:
        """Return the recorded results of these derivations; unknown derivations are left out."""
        rows: list[Outcome] = self._repeated("known_outputs", [list(drvs)], args_row(Outcome)) if drvs else []
        return {row.drv: row for row in rows}

    def prunable_paths(self, older_than: timedelta, after: int) -> tuple[dict[str, list[str]], int | None]:
        """Return paths of old, unneeded derivations, by derivation, and the next `after`; `None`: this was the end."""
        answer = self._value("prunable_paths", older_than, after)
        return answer["paths"], answer["after"]

    def prune(self, older_than: timedelta, after: int, *, dry_run: bool) -> tuple[dict[str, int], int | None]:
        """Forget a part; return the number of rows by kind, and the next `after`."""
        answer = dict(self._value("prune", older_than, after, dry_run))
        following = answer.pop("after")
        return answer, following

    def explain(self, *, drv: str | None = None, build: int | None = None) -> dict[str, Any] | None:
        """Return why a derivation, or a build's derivation, is not built yet; `None` if it is unknown."""
        answer = self._value("explain", drv, build)
        return None if answer is None else dict(answer)

    def build_graph(self, build: int) -> dict[str, Any] | None:
        """Return the derivations that a build needs, with their dependencies; `None` if there is no such build."""
        answer = self._value("build_graph", build)
        return None if answer is None else dict(answer)

    def invariant_violations(self) -> dict[str, int]:
        """Return the number of violating rows by invariant; empty in a sound database."""
        return dict(self._repeated("invariant_violations", [], tuple_row))
