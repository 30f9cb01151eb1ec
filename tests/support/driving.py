"""Drives a whole graph through the procedures and times every call; golden answers replace Nix."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from hydra_resolver.database.procedures import Claim, Procedures
from hydra_resolver.loop.batches import in_batches, in_parts
from hydra_resolver.nix.derivation import Derivation, InputOutput
from hydra_resolver.nix.store_path import StoreDir
from hydra_resolver.verbs.load import describe

from ..nix.graphs import STORE_DIR, Graph

T = TypeVar("T")
BATCH = 50
INFO = {"size": 1, "closure_size": 1, "failed": False, "release_name": None, "products": [], "metrics": []}


class Driver:
    """The only client of a database: the time of a call is the upper bound for how long it holds the graph lock.

    Attempts at derivations in `failing` fail.
    """

    def __init__(self, procedures: Procedures, graph: Graph) -> None:
        self.procedures = procedures
        self.graph = graph
        self.failing: set[str] = set()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._originals = {resolved: drv for drv, resolved in graph.resolutions.items()}
        self._derivations = {drv: graph.parse(drv) for drv in graph.texts}
        systems = sorted({derivation.platform.decode() for derivation in self._derivations.values()})
        features = sorted({f for drv, d in self._derivations.items() for f in describe(drv, d)["features"]})
        self._worker = procedures.register_worker(
            name="driver",
            verbs=["load", "resolve", "build"],
            systems=systems,
            features=features,
            store_directory=STORE_DIR.path,
            store_identity="invented",
        )

    def enqueue(self) -> list[int]:
        """Enqueue a build for each derivation without dependents."""
        used = {drv for derivation in self._derivations.values() for drv in derivation.input_drvs}
        jobs = [
            {"job": drv, "drv": STORE_DIR.render(drv), "system": "any", "nix_name": drv, "outputs": {}}
            for drv in sorted(self._derivations.keys() - used)
        ]
        return self._timed(
            "enqueue",
            lambda: self.procedures.enqueue(
                project="graph", jobset="graph", file="graph", jobs=jobs, errors=None, retry=True
            ),
        )

    def drive(self) -> None:
        """Work until there is nothing left to claim."""
        while any([self.tick(), self.load(), self.resolve(), self.build()]):
            pass

    def load(self) -> bool:
        """Load a batch; return whether there was anything to load."""
        return self._do("load", self._loaded, "register_derivations")

    def resolve(self) -> bool:
        """Resolve a batch; return whether there was anything to resolve."""
        return self._do("resolve", self._resolved, "set_resolved_to")

    def build(self) -> bool:
        """Build a batch; return whether there was anything to build."""
        return self._do("build", self._built, "finish_steps")

    def tick(self) -> bool:
        """Do what workers do once a second; return whether more of it is left."""
        more = self._timed("sync_builds", lambda: self.procedures.sync_builds(all_builds=False))
        return self._timed("advance", self.procedures.advance) or more

    def longest(self) -> str:
        """The longest call of each procedure, as text."""
        return ", ".join(
            f"{name} {1000 * max(seconds):.1f} ms (of {len(seconds)})" for name, seconds in sorted(self.seconds.items())
        )

    def _do(self, verb: Any, work: Callable[[Claim], dict[str, Any]], procedure: str) -> bool:
        claims = self._timed(f"claim {verb}", lambda: self.procedures.claim(self._worker, verb, BATCH))
        if claims:
            failing = [claim for claim in claims if verb == "build" and claim.drv in self.failing]
            for claim in failing:
                report = {"lease": claim.lease, "class": "builder", "status": 1, "message": "it fails"}
                self._timed("fail_steps", lambda: self.procedures.report("fail_steps", [report]))  # noqa: B023
            reports = [{"lease": claim.lease, **work(claim)} for claim in claims if claim not in failing]
            for batch in in_batches([map(self._without_first_parts, reports)]):
                answers = self._timed(procedure, lambda: getattr(self.procedures, procedure)(batch))  # noqa: B023
                assert {answer.outcome for answer in answers} == {"done"}, answers
        return bool(claims)

    def _without_first_parts(self, report: dict[str, Any]) -> dict[str, Any]:
        *parts, last = in_parts(report)
        for part in parts:
            self._timed("part of a report", lambda: self.procedures.register_derivations([part]))  # noqa: B023
        return last

    def _timed(self, name: str, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = call()
        self.seconds[name].append(time.perf_counter() - began)
        return result

    def _loaded(self, claim: Claim) -> dict[str, Any]:
        derivation = self._derivations[claim.drv]
        outputs = [
            {"name": name, "path": claim.known.get(name) or static_path(derivation, name), "valid": name in claim.known}
            for name in derivation.outputs
        ]
        return {
            **describe(claim.drv, derivation),
            "outputs": outputs,
            "info": INFO if all(output["valid"] for output in outputs) else None,
        }

    def _resolved(self, claim: Claim) -> dict[str, Any]:
        derivation = self._derivations[claim.drv]
        description = describe(claim.drv, derivation)
        return {
            "samples": [[drv, name, path] for drv, outputs in claim.inputs.items() for name, path in outputs.items()],
            "info": INFO,
            "resolved": {
                "drv": self.graph.resolutions[claim.drv],
                **{name: description[name] for name in ("name", "system", "kind", "features", "prefer_local")},
                "confirmed": [self.graph.outputs[InputOutput(claim.drv, (name,))] for name in derivation.outputs],
                "outputs": [
                    {"name": name, "path": static_path(derivation, name), "valid": False} for name in derivation.outputs
                ],
            },
        }

    def _built(self, claim: Claim) -> dict[str, Any]:
        drv = self._originals.get(claim.drv, claim.drv)
        outputs = {name: self.graph.outputs[InputOutput(drv, (name,))] for name in self._derivations[drv].outputs}
        return {"outputs": outputs, "machine": "invented", "log": None, "info": INFO if claim.root else None}


def static_path(derivation: Derivation, output: str, store_dir: StoreDir = STORE_DIR) -> str | None:
    """Return the path of an output if it is known before the build."""
    return derivation.output_path(output, store_dir)
