"""The procedures that tell of what was learned, explain, and forget: one method each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.rows import args_row, tuple_row

from .procedures import Procedures


@dataclass(frozen=True, slots=True)
class Saving:
    """What early cut-off spared the new builds of an evaluation, or one build. `seconds`: of building it."""

    evaluation: int | None
    builds: int
    resolutions: int
    cut_off: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Dependent:
    """A derivation that directly depends on others. Paths are base names.

    `resolved`: what it resolved to last. `inputs`: for each input the outputs that it uses, `outputs`: its own; each
    with the last path that it had. `wanted`: those of its outputs that anybody wants.
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
    """What is known to come of building a derivation: its outputs that are valid; a remembered failure."""

    drv: str
    outputs: Mapping[str, str] | None
    failure: str | None


class Records(Procedures):
    """The procedures that people ask, besides all others."""

    def check_store(self, *, directory: str, identity: str) -> None:
        """Raise OtherStoreError when the database speaks about another store."""
        self._value("check_store", directory, identity)

    def trace(self, drv: str) -> dict[str, Any] | None:
        """Everything that is known of a derivation through time; `None` when it is unknown."""
        answer = self._value("trace", drv)
        return None if answer is None else dict(answer)

    def savings(self, *, build: int | None = None, evaluation: int | None = None) -> list[Saving]:
        """What was spared: for a build, for an evaluation, or for the last evaluations. Empty: no such one."""
        return self._repeated("savings", [build, evaluation], args_row(Saving))

    def dependents(self, drvs: Sequence[str]) -> list[Dependent]:
        """What directly depends on any of these."""
        return self._repeated("dependents", [list(drvs)], args_row(Dependent)) if drvs else []

    def outcomes(self, drvs: Sequence[str]) -> dict[str, Outcome]:
        """What is known to come of these, by derivation; nothing for those that are unknown."""
        rows: list[Outcome] = self._repeated("known_outputs", [list(drvs)], args_row(Outcome)) if drvs else []
        return {row.drv: row for row in rows}

    def prunable_paths(self, older_than: timedelta, after: int) -> tuple[dict[str, list[str]], int | None]:
        """Paths of old derivations that nothing needs, by derivation, and where to go on; `None`: this was the end."""
        answer = self._value("prunable_paths", older_than, after)
        return answer["paths"], answer["after"]

    def prune(self, older_than: timedelta, after: int, *, dry_run: bool) -> tuple[dict[str, int], int | None]:
        """Forget a part; how many rows of what, and where to go on."""
        answer = dict(self._value("prune", older_than, after, dry_run))
        following = answer.pop("after")
        return answer, following

    def explain(self, *, drv: str | None = None, build: int | None = None) -> dict[str, Any] | None:
        """Why a derivation, or a build's, is not built yet; `None` when it is unknown."""
        answer = self._value("explain", drv, build)
        return None if answer is None else dict(answer)

    def build_graph(self, build: int) -> dict[str, Any] | None:
        """What a build needs, with the dependencies between them; `None` when there is no such build."""
        answer = self._value("build_graph", build)
        return None if answer is None else dict(answer)

    def invariant_violations(self) -> dict[str, int]:
        """How many rows break which invariant; empty in a sound database."""
        return dict(self._repeated("invariant_violations", [], tuple_row))
