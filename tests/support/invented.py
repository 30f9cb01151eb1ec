"""Graphs of any size, with shapes that are rare in real graphs; no store contains them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra_resolver.nix.derivation import Derivation, Floating, InputNode, InputOutput, Method

from ..nix.graphs import Graph


@dataclass(frozen=True)
class InventedGraph(Graph):
    """A graph whose derivations were never written as ``.drv`` files."""

    derivations: Mapping[str, Derivation]

    def parse(self, drv_path: str) -> Derivation:
        return self.derivations[drv_path]


def invented(
    inputs: Mapping[str, Sequence[str]],
    *,
    outputs: Mapping[str, int] | None = None,
    resolved_to: Mapping[str, str] | None = None,
) -> InventedGraph:
    """Make floating derivations by name, each with the names of its inputs, all outputs of which it needs.

    `outputs` gives the number of outputs of each derivation that has more than one. A derivation with inputs resolves
    to the name in `resolved_to`, or else to a derivation of its own.
    """
    names = {name: [f"out{n}" for n in range((outputs or {}).get(name, 1))] for name in inputs}
    resolved = {name: (resolved_to or {}).get(name, f"resolved-{name}") for name in inputs if inputs[name]}
    derivations = {
        base_name(f"{name}.drv"): Derivation(
            name=name,
            outputs={output: Floating(Method.NAR, "sha256") for output in names[name]},
            input_drvs={base_name(f"{needed}.drv"): InputNode(tuple(names[needed])) for needed in needs},
            input_srcs=(),
            platform=b"any",
            builder=b"builder",
            args=(),
            env={},
        )
        for name, needs in inputs.items()
    }
    return InventedGraph(
        texts=dict.fromkeys(derivations, b""),
        outputs={
            InputOutput(base_name(f"{name}.drv"), (output,)): base_name(f"{resolved.get(name, name)}-{output}")
            for name in inputs
            for output in names[name]
        },
        resolutions={base_name(f"{name}.drv"): base_name(f"{other}.drv") for name, other in resolved.items()},
        derivations=derivations,
    )


def fan(width: int) -> dict[str, list[str]]:
    """Return inputs by name: one leaf, `width` dependents of the leaf, and one derivation that needs all of these."""
    middle = [f"middle{n}" for n in range(width)]
    return {"leaf": [], **{name: ["leaf"] for name in middle}, "top": middle}


def alone(names: Sequence[str]) -> dict[str, list[str]]:
    """Return inputs by name: derivations without inputs."""
    return {name: [] for name in names}


def base_name(name: str) -> str:
    """Return the base name of a store path; one name always gives the same path."""
    return f"{hashlib.md5(name.encode()).hexdigest()}-{name}"
