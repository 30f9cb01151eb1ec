"""Drives a whole graph through the procedures, with golden answers in the place of Nix, and times every call."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from hydra_resolver.database.procedures import Claim, Procedures
from hydra_resolver.loop.batches import in_batches
from hydra_resolver.nix.derivation import Derivation, InputOutput
from hydra_resolver.nix.store_path import StoreDir
from hydra_resolver.verbs.load import describe

from .nix.graphs import STORE_DIR, Graph

T = TypeVar("T")
BATCH = 50
INFO = {"size": 1, "closure_size": 1, "failed": False, "release_name": None, "products": [], "metrics": []}


class Driver:
    """The one client of a database: how long a call takes is how long the graph lock is held, at most."""

    def __init__(self, procedures: Procedures, graph: Graph) -> None:
        self.procedures = procedures
        self.graph = graph
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
        """A build for each derivation that no other one uses."""
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
        """Until nothing can be claimed any more."""
        worked = True
        while worked:
            worked = any(
                [
                    self._do("load", self._loaded, "register_derivations"),
                    self._do("resolve", self._resolved, "set_resolved_to"),
                    self._do("build", self._built, "finish_steps"),
                    self._timed("advance", self.procedures.advance),
                ]
            )

    def longest(self) -> str:
        """The longest call of each procedure, in words."""
        return ", ".join(
            f"{name} {1000 * max(seconds):.1f} ms (of {len(seconds)})" for name, seconds in sorted(self.seconds.items())
        )

    def _do(self, verb: Any, work: Callable[[Claim], dict[str, Any]], procedure: str) -> bool:
        claims = self._timed(f"claim {verb}", lambda: self.procedures.claim(self._worker, verb, BATCH))
        if claims:
            reports = [{"lease": claim.lease, **work(claim)} for claim in claims]
            for batch in in_batches([reports]):
                answers = self._timed(procedure, lambda: getattr(self.procedures, procedure)(batch))  # noqa: B023
                assert {answer.outcome for answer in answers} == {"done"}, answers
        return bool(claims)

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
    """The path of an output, if it is known before it is built."""
    return derivation.output_path(output, store_dir)
