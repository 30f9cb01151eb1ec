"""Small random graphs of derivations for the model, and their outputs, resolutions and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import md5
from typing import Any

from hypothesis import strategies as st

from .model_farm import drv, hashed
from .model_types import Node

INFO: dict[str, Any] = {
    "size": 1,
    "closure_size": 2,
    "failed": False,
    "release_name": None,
    "products": [],
    "metrics": [],
}
MADE = ("dev", "out")  # outputs of the derivations that builders write
KINDS = ["floating", "floating", "floating", "deferred", "fixed", "input-addressed"]


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Draw derivations that may use outputs of earlier ones. The last letter of a name is the type of the builder."""
    nodes: list[Node] = []
    for number in range(draw(st.integers(3, 7))):
        kind, builder = draw(st.sampled_from(KINDS)), draw(st.sampled_from("xxyw"))
        builder = "x" if builder == "w" and kind != "floating" else builder
        outputs = draw(st.sampled_from([("out",), ("out",), ("dev", "out")]))
        uses = (
            draw(st.lists(st.sampled_from(nodes), max_size=3, unique_by=lambda n: n.name))
            if nodes and number % 3
            else []
        )
        uses = uses or nodes[-1:] if number % 3 else uses
        inputs = {n.name: tuple(sorted(draw(st.sets(st.sampled_from(n.outputs), min_size=1)))) for n in uses}
        writers = [n for n in nodes if n.name[-1] == "w"] if number % 3 and kind != "input-addressed" else []
        chains = [(n.name, draw(st.sampled_from(n.outputs)), draw(st.sampled_from(MADE))) for n in writers]
        nodes.append(Node(f"{kind[0]}{number}{builder}", kind, outputs, inputs, tuple(chains)))
    return [*made(nodes[0]), *nodes]


def made(leaf: Node) -> list[Node]:
    """Return the two derivations that builders with a `w` may write. One of them has an input."""
    inputs = {leaf.name: leaf.outputs[:1]}
    return [Node("made0x", "floating", MADE, {}), Node("made1x", "floating", MADE, inputs)]


def path(node: Node, output: str, variant: int = 0) -> str:
    """Return the path of an output. Two derivations may share a path; for floating ones `variant` selects the path."""
    if node.name[-1] == "w":
        return f"made{variant}x.drv"
    if node.kind in ("fixed", "floating"):
        return f"{node.kind}-{node.name[-1]}-{output}-{variant if node.kind == 'floating' else 0}"
    return f"{node.name}-{output}"


def resolution(node: Node, paths: list[str], known: list[Node]) -> Node:
    """Return the result of a resolution: the derivation itself, a known one without inputs, or a new one.

    All derivations with a `y` of the same kind and outputs resolve to the same one.
    """
    if node.kind == "fixed":
        return node
    kind = "input-addressed" if node.kind == "deferred" else node.kind
    alike = [n for n in known if not n.inputs and (n.kind, n.outputs, n.name[-1]) == (kind, node.outputs, "y")]
    if alike and node.name[-1] == "y":
        return alike[0]
    digest = md5("".join(sorted({*paths})).encode()).hexdigest()[:4]
    return Node(f"r{kind[0]}{len(node.outputs)}-{digest}-{node.name[-1]}", kind, node.outputs, {})


def described(node: Node) -> dict[str, Any]:
    """Return the description of a derivation in reports."""
    roots = {root for root, *_ in node.chains} - node.inputs.keys()
    chains = [{"drv": drv(root), "outputs": outputs} for root, *outputs in node.chains]
    return {
        "drv": drv(node.name),
        "name": node.name,
        "system": "x86_64-linux",
        "kind": node.kind,
        "features": [],
        "prefer_local": False,
        "must_resolve": bool(node.inputs or node.chains) and node.kind != "input-addressed",
        "inputs": [
            {"drv": drv(name), "outputs": list(outputs)}
            for name, outputs in [*node.inputs.items(), *((root, ()) for root in roots)]
        ],
        **({"chains": chains} if chains else {}),
    }


def loaded(lease: int, node: Node, known: Mapping[str, str], valid: Mapping[str, str], info: bool) -> dict[str, Any]:
    return {"lease": lease, **described(node), "outputs": found(node, known, valid), "info": INFO if info else None}


def resolved(
    lease: int,
    samples: list[list[str]],
    to: Node | None,
    valid: Mapping[str, str] | None = None,
    confirmed: Iterable[str] = (),
    info: bool = False,
) -> dict[str, Any]:
    paths = [hashed(path) for path in confirmed]
    static = {output: path(to, output) for output in to.outputs if to.kind != "floating"} if to else {}
    outputs = found(to, {**static, **(valid or {})}, valid or {}) if to else []
    body = {**described(to), "outputs": outputs, "confirmed": paths} if to else None
    return {"lease": lease, "samples": samples, "resolved": body, "info": INFO if info else None}


def found(node: Node, known: Mapping[str, str], valid: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": output, "path": hashed(known[output]) if output in known else None, "valid": output in valid}
        for output in node.outputs
    ]


def finished(lease: int, outputs: Mapping[str, str], info: bool) -> dict[str, Any]:
    return {"lease": lease, "outputs": {o: hashed(path) for o, path in outputs.items()}, "info": INFO if info else None}
