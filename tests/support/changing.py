"""Changes one derivation of a real graph and its output, and drives the changed graph through the same database."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from hydra_resolver.database.procedures import Claim, Procedures
from hydra_resolver.loop.batches import in_batches
from hydra_resolver.nix.aterm_print import derivation_path, print_derivation
from hydra_resolver.nix.derivation import Derivation, InputOutput, Kind
from hydra_resolver.nix.placeholder import upstream_placeholder
from hydra_resolver.nix.resolve import resolve
from hydra_resolver.nix.store_path import nix32
from hydra_resolver.nix.version import NixVersion

from ..nix.graphs import STORE_DIR, Graph
from .driving import INFO, Driver, static_path

VERSION = NixVersion(2, 34)
_PLACEHOLDER = re.compile(rb"/[0-9a-df-np-sv-z]{52}")


@dataclass(frozen=True)
class Changed:
    """The graph after the change. `names` maps the old names of the leaf and all its dependents to the new names."""

    graph: Graph
    names: dict[str, str]
    leaf: str


def change(graph: Graph, leaf: str | None = None) -> Changed:
    """Change a floating derivation and its outputs; by default the one with the most dependents, direct and indirect.

    All dependents get new names, since their texts name their inputs, but their outputs stay the same.
    """
    derivations = {drv: graph.parse(drv) for drv in graph.texts}
    users: dict[str, set[str]] = defaultdict(set)
    for drv, derivation in derivations.items():
        for source in derivation.input_drvs:
            users[source].add(drv)
    if leaf is None:
        floating = [drv for drv, derivation in derivations.items() if derivation.kind is Kind.FLOATING]
        low = sorted(drv for drv in floating if not any(source in floating for source in derivations[drv].input_drvs))
        leaf = max(low, key=lambda drv: len(_above(drv, users)))
    above = _above(leaf, users) | {leaf}

    names: dict[str, str] = {}
    texts = {drv: text for drv, text in graph.texts.items() if drv not in above}
    outputs = {output: path for output, path in graph.outputs.items() if output.drv_path not in above}
    resolutions = {drv: resolved for drv, resolved in graph.resolutions.items() if drv not in above}
    order = TopologicalSorter({drv: derivations[drv].input_drvs.keys() & above for drv in above})
    for drv in order.static_order():
        changed = _with_inputs(derivations[drv], names)
        if drv == leaf:
            changed = changed.with_changes(env={**changed.env, b"comment": b"another one"})
        text = print_derivation(changed, STORE_DIR)
        name = names[drv] = derivation_path(changed, STORE_DIR, text)
        texts[name] = text
        for output in changed.outputs:
            path = graph.outputs[InputOutput(drv, (output,))]
            made = f"{nix32(path[:20].encode())}{path[32:]}" if drv == leaf else path
            outputs[InputOutput(name, (output,))] = made
        if drv in graph.resolutions:
            resolutions[name] = resolve(changed, name, outputs, version=VERSION, store_dir=STORE_DIR).path
    return Changed(Graph(texts, outputs, resolutions), names, leaf)


def _above(drv: str, users: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = [drv]
    while left:
        new = users.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def _with_inputs(derivation: Derivation, names: Mapping[str, str]) -> Derivation:
    """Return the derivation with the inputs renamed, in its input list and in all placeholders."""
    rewrites = {
        upstream_placeholder(drv, output).encode(): upstream_placeholder(names[drv], output).encode()
        for drv, node in derivation.input_drvs.items()
        if drv in names
        for output in node.outputs
    }

    def rewritten(text: bytes) -> bytes:
        return _PLACEHOLDER.sub(lambda found: rewrites.get(found[0], found[0]), text)

    return replace(
        derivation,
        input_drvs=dict(sorted((names.get(drv, drv), node) for drv, node in derivation.input_drvs.items())),
        builder=rewritten(derivation.builder),
        args=tuple(map(rewritten, derivation.args)),
        env=dict(sorted((rewritten(name), rewritten(value)) for name, value in derivation.env.items())),
    )


class ChangedDriver(Driver):
    """Drives the changed graph, with a store that has all outputs of the first graph."""

    def __init__(self, procedures: Procedures, before: Graph, changed: Changed) -> None:
        super().__init__(procedures, changed.graph)
        self.hits = 0
        """How many resolutions led to a realised derivation."""
        self.reports_of_hits: list[tuple[int, float, float]] = []
        """For each report of memo hits only: the number of hits, wall seconds and CPU seconds of the database."""
        self._new = set(changed.names.values())
        self._store = set(before.outputs.values())
        self._known = set(before.resolutions.values())
        with procedures._connections.one(1.0) as connection:
            self._server = connection.info.backend_pid

    def enqueue(self) -> list[int]:
        """Enqueue a build for each new derivation without dependents."""
        used = {drv for derivation in self._derivations.values() for drv in derivation.input_drvs}
        jobs = [
            {"job": drv, "drv": STORE_DIR.render(drv), "system": "any", "nix_name": drv, "outputs": {}}
            for drv in sorted(self._new - used)
        ]
        return self.procedures.enqueue(
            project="graph", jobset="graph", file="graph", jobs=jobs, errors=None, retry=True
        )

    def _do(self, verb: Any, work: Callable[[Claim], dict[str, Any]], procedure: str) -> bool:
        if verb != "resolve":
            return super()._do(verb, work, procedure)
        claims = self._timed(f"claim {verb}", lambda: self.procedures.claim(self._worker, verb, 50))
        reports = [{"lease": claim.lease, **work(claim)} for claim in claims]
        drvs = [report["resolved"]["drv"] for report in reports]
        asked, began = len(self.seconds[procedure]), self._server_cpu()
        known = self._timed(procedure, lambda: self.procedures.known_outputs(drvs))
        assert known.keys() == self._known.intersection(drvs)
        seconds, cpu = sum(self.seconds[procedure][asked:]), self._server_cpu() - began
        hits = [_hit(report, known) for report in reports if report["resolved"]["drv"] in known]
        others = [report for report in reports if report["resolved"]["drv"] not in known]
        for batch in in_batches([hits]):
            told, began = len(self.seconds[procedure]), self._server_cpu()
            answers = self._timed(procedure, lambda: self.procedures.set_resolved_to(batch))  # noqa: B023
            assert {answer.outcome for answer in answers} == {"done"}, answers
            share = len(batch) / len(reports)  # of the call of known_outputs
            self.reports_of_hits.append(
                (
                    len(batch),
                    sum(self.seconds[procedure][told:]) + share * seconds,
                    self._server_cpu() - began + share * cpu,
                )
            )
        for batch in in_batches([others]):
            answers = self._timed(procedure, lambda: self.procedures.set_resolved_to(batch))  # noqa: B023
            assert {answer.outcome for answer in answers} == {"done"}, answers
        self.hits += len(hits)
        return bool(claims)

    def _server_cpu(self) -> float:
        """CPU seconds of the one server process: unlike wall time they do not depend on how busy the machine is."""
        return int(Path(f"/proc/{self._server}/schedstat").read_text().split()[0]) / 1e9

    def _loaded(self, claim: Claim) -> dict[str, Any]:
        report = super()._loaded(claim)
        for output in report["outputs"]:
            output["valid"] = output["path"] in self._store
        report["info"] = INFO if all(output["valid"] for output in report["outputs"]) else None
        return report

    def _resolved(self, claim: Claim) -> dict[str, Any]:
        report = super()._resolved(claim)
        resolved = report["resolved"]
        resolved["confirmed"] = []
        for output in resolved["outputs"]:
            output["path"] = static_path(self._derivations[claim.drv], output["name"])
            output["valid"] = False
        return report


def _hit(report: dict[str, Any], known: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    drv = report["resolved"]["drv"]
    resolved = {"drv": drv, "written": False, "outputs": [], "confirmed": sorted(known[drv].values())}
    return {**report, "resolved": resolved}
