"""Random jobsets: derivations of every kind, with the status and the outputs that each must have in the end."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

SUCCEEDED, FAILED, DEPENDENCY_FAILED, FAILED_WITH_OUTPUT = 0, 1, 2, 6

Kind = Literal["floating", "fixed", "addressed"]
Fate = Literal["succeeds", "fails", "flagged"]

EXPRESSION = """
let
  make = fields: derivation ({
    system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/bin:/usr/bin"; runs = "RUNS"; args = [ "-euc" ''
      case $fate in fails) echo "$(date +%s.%N) $out" >> $runs;; esac
      sleep $seconds
      for output in $outputs; do
        eval "path=\\$$output"
        case $fate in
          fails) echo "this fails on purpose"; exit 1;;
          flagged) mkdir -p $path/nix-support; touch $path/nix-support/failed; path=$path/content;;
        esac
        if [ $constant = 1 ]; then echo $name $output; else echo $name $output $version; cat /dev/null $inputs; fi \\
          | md5sum | cut -c 1-32 > $path
      done
    '' ];
  } // fields);
  floating = fields: make ({
    __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
  } // fields);
  fixed = fields: make ({ outputHashMode = "flat"; outputHashAlgo = "sha256"; } // fields);
  addressed = make;
  write = drv: floating {
    name = "${drv.name}.drv"; outputHashMode = "text"; drv = builtins.unsafeDiscardOutputDependency drv.drvPath;
    args = [ "-euc" "cp $drv $out" ];
  };
"""


@dataclass(frozen=True, slots=True)
class Node:
    """One derivation. If `constant`, its outputs depend on neither its inputs nor its version.

    If `written`, its dependents are dynamic: they use it by way of a derivation that writes its .drv.
    """

    name: str
    kind: Kind
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    constant: bool
    fate: Fate
    seconds: float
    written: bool = False
    version: int = 1


@dataclass(frozen=True)
class Jobset:
    """Nodes by name, each after its inputs; and the names of those that are jobs."""

    nodes: Mapping[str, Node]
    jobs: frozenset[str]

    def expression(self, runs: Path) -> str:
        """Return a Nix file with an attribute for each job. A failing builder adds a line to `runs` when it begins."""
        bindings = "".join(f"  {self._binding(node)}\n" for node in self.nodes.values())
        jobs = " ".join(sorted(self.jobs))
        return f"{EXPRESSION.replace('RUNS', str(runs))}{bindings}in {{ inherit {jobs}; }}\n"

    def content(self, name: str, output: str) -> str:
        """Return the content that an output must have: one line."""
        return self._contents[name, output]

    def status(self, name: str) -> int:
        """Return the status, as Hydra's number, with which a build of a node must end."""
        return self._statuses[name]

    @cached_property
    def _contents(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for node in self.nodes.values():
            for output in node.outputs:
                text = f"{node.name} {output}\n"
                if not node.constant:
                    text = f"{node.name} {output} {node.version}\n" + "".join(found[needed] for needed in node.inputs)
                found[node.name, output] = hashlib.md5(text.encode()).hexdigest() + "\n"
        return found

    @cached_property
    def _statuses(self) -> dict[str, int]:
        own: dict[Fate, int] = {"succeeds": SUCCEEDED, "fails": FAILED, "flagged": FAILED_WITH_OUTPUT}
        found: dict[str, int] = {}
        for node in self.nodes.values():
            bad = any(found[needed] != SUCCEEDED for needed, _ in node.inputs)
            found[node.name] = DEPENDENCY_FAILED if bad else own[node.fate]
        return found

    def _reference(self, name: str, output: str) -> str:
        if not self.nodes[name].written:
            return f"{name}.{output}"
        return f'(builtins.outputOf (write {name}).outPath "{output}")'

    def _binding(self, node: Node) -> str:
        fields = {
            "name": f'"{node.name}"',
            "inputs": "[ " + " ".join(self._reference(name, output) for name, output in node.inputs) + " ]",
            "outputs": "[ " + " ".join(f'"{output}"' for output in node.outputs) + " ]",
            "constant": "1" if node.constant else "0",
            "fate": f'"{node.fate}"',
            "seconds": f'"{node.seconds:.2f}"',
            "version": str(node.version),
        }
        if node.kind == "fixed":
            fields["outputHash"] = f'"{hashlib.sha256(self.content(node.name, "out").encode()).hexdigest()}"'
        words = " ".join(f"{field} = {value};" for field, value in fields.items())
        return f"{node.name} = {node.kind} {{ {words} }};"


def _node(name: str, *inputs: str, fate: Fate = "succeeds", constant: bool = False, seconds: float = 0) -> Node:
    return Node(name, "floating", tuple((needed, "out") for needed in inputs), ("out",), constant, fate, seconds)


_BASE = "base"
"""Changes with each commit, though its output stays: its dependents change, but resolve to the same derivations."""

_DOOMED = (
    _node(_BASE, constant=True),
    _node("bad", _BASE, fate="fails"),
    _node("worse", _BASE, fate="fails", seconds=1),
    _node("on-bad", "bad"),
    _node("above-bad", "on-bad"),
    _node("beside-bad", "bad", _BASE),
    _node("on-worse", "worse"),
    _node("on-both", "bad", "worse"),
)
"""Derivations that fail permanently after they were resolved, and their dependents."""


def first_jobset(dice: random.Random, size: int) -> Jobset:
    """Make a jobset of that many derivations with chains, diamonds, shared inputs and failures."""
    nodes: dict[str, Node] = {}
    for number in range(size):
        node = _new_node(dice, f"n{number}", nodes)
        nodes[node.name] = node
    nodes.update((node.name, node) for node in _DOOMED)
    return Jobset(nodes, _some_jobs(dice, nodes))


def next_jobset(dice: random.Random, jobset: Jobset) -> Jobset:
    """Return the jobset after a commit: some derivations change, with or without their outputs, and all dependents."""
    nodes = dict(jobset.nodes)
    changed = {_BASE, *dice.sample(sorted(nodes), k=max(1, len(nodes) // 8))}
    for name in sorted(changed):
        nodes[name] = replace(nodes[name], version=nodes[name].version + 1)
    return Jobset(nodes, _some_jobs(dice, nodes))


def everything(jobset: Jobset) -> Jobset:
    """Return the jobset with every derivation as a job."""
    return Jobset(jobset.nodes, frozenset(jobset.nodes))


def _some_jobs(dice: random.Random, nodes: Mapping[str, Node]) -> frozenset[str]:
    used = {name for node in nodes.values() for name, _ in node.inputs}
    return frozenset(name for name in nodes if name not in used or dice.random() < 0.4)


def _new_node(dice: random.Random, name: str, nodes: Mapping[str, Node]) -> Node:
    """Make a node whose inputs are mostly recent nodes, so that chains get long and diamonds close. Few inputs fail."""
    usable = [
        node for node in nodes.values() if _is_sound(node, nodes) or (node.fate == "fails" and dice.random() < 0.1)
    ]
    recent = usable[-6:] if dice.random() < 0.8 else usable
    chosen = dice.sample(recent, k=min(len(recent), dice.choice([0, 1, 1, 2, 2, 3])))
    sound = all(_is_sound(node, nodes) for node in chosen)
    kind: Kind = dice.choices(("floating", "fixed", "addressed"), (7, 1 if sound else 0, 2))[0]
    fate: Fate = dice.choices(("succeeds", "fails", "flagged"), (20, 1, 1))[0] if kind == "floating" else "succeeds"
    return Node(
        name=name,
        kind=kind,
        inputs=tuple((node.name, dice.choice(node.outputs)) for node in chosen),
        outputs=("out", "dev") if kind != "fixed" and dice.random() < 0.2 else ("out",),
        constant=kind == "fixed" or dice.random() < 0.3,
        fate=fate,
        seconds=dice.choice([0, 0, 0, 0.1, 0.3, 1, 3]),
        written=dice.random() < 0.2,
    )


def _is_sound(node: Node, nodes: Mapping[str, Node]) -> bool:
    return node.fate == "succeeds" and all(_is_sound(nodes[name], nodes) for name, _ in node.inputs)
