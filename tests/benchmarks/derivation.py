"""Measures what parsing, resolving and printing derivations cost, compared with reading and hashing the same bytes.

The first part processes all derivations of a real graph one after the other, measures CPU time, and compares every
resolution with the golden one. The second part processes derivations with more and more inputs, where each input adds
the same number of bytes: the cost per input must stay the same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from hydra_resolver.nix.aterm import parse_derivation
from hydra_resolver.nix.aterm_print import print_derivation
from hydra_resolver.nix.derivation import Derivation, Floating, InputNode, InputOutput, Method
from hydra_resolver.nix.placeholder import chain_placeholder, upstream_placeholder
from hydra_resolver.nix.resolve import resolve
from hydra_resolver.nix.store_path import nix32
from hydra_resolver.nix.version import NixVersion
from tests.nix.graphs import STORE_DIR, Graph, read_graph

VERSION = NixVersion(2, 34)
TARGETS = {"parse": 4.0, "resolve": 6.0}  # seconds for the whole graph
INPUTS = (1, 10, 100, 1000, 4354)
GROWTH = 3.0
"""Upper bound for the cost per input with the most inputs, relative to 100 inputs. Quadratic cost would give 40."""


class Cost(NamedTuple):
    """The CPU seconds for a number of derivations and bytes."""

    seconds: float
    derivations: int
    size: int

    def __str__(self) -> str:
        each, speed = self.seconds / self.derivations * 1000, self.size / self.seconds / 1e6
        return f"{self.seconds:8.3f} s {each:8.4f} ms each {speed:8.1f} MB/s"


def main(words: Sequence[str]) -> int:
    """Run and print; return 1 if a target is missed, a resolution differs or the cost per input grows."""
    parser = argparse.ArgumentParser(prog="derivation", description=__doc__)
    parser.add_argument("--graph", default="core-large")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(words)
    graph = read_graph(options.graph)
    fast = _whole_graph(options.graph, graph, options.rounds)
    linear = _growth(options.rounds)
    return 0 if fast and linear else 1


def _timed(run: Callable[[], object]) -> float:
    chain_placeholder.cache_clear()  # as in a process that has not resolved anything yet
    began = time.process_time()
    run()
    return time.process_time() - began


def _timed_each(run: Callable[[], object], count: int) -> float:
    return sum(_timed(run) for _ in range(count)) / count


def _each(function: Callable[..., object], items: Iterable[object]) -> None:
    for item in items:
        function(item)


# A whole graph


def _whole_graph(name: str, graph: Graph, rounds: int) -> bool:
    derivations = {drv_path: graph.parse(drv_path) for drv_path in graph.texts}
    size = sum(map(len, graph.texts.values()))
    resolvable = [(derivations[drv_path], drv_path) for drv_path in graph.resolutions]
    resolvable_size = sum(len(graph.texts[drv_path]) for drv_path in graph.resolutions)
    resolved: dict[str, str] = {}

    def resolve_one(item: tuple[Derivation, str]) -> None:
        resolved[item[1]] = resolve(*item, graph.outputs, version=VERSION, store_dir=STORE_DIR).path

    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="hydra-resolver-bench-") as directory:
        files = [Path(directory) / drv_path for drv_path in graph.texts]
        for file in files:
            file.write_bytes(graph.texts[file.name])
        steps: dict[str, Callable[[], None]] = {
            "read and hash": lambda: _each(lambda file: sha256(file.read_bytes()).digest(), files),
            "parse": lambda: _each(graph.parse, graph.texts),
            "resolve": lambda: _each(resolve_one, resolvable),
            "print": lambda: _each(lambda derivation: print_derivation(derivation, STORE_DIR), derivations.values()),
        }
        for _ in range(rounds):
            for step, run in steps.items():
                seconds.setdefault(step, []).append(_timed(run))
    print(f"{name}: {len(derivations)} derivations, {size / 1e6:.1f} MB; {len(resolvable)} resolutions")
    fast = True
    for step, measured in seconds.items():
        whole = len(resolvable), resolvable_size
        cost = Cost(statistics.median(measured), *(whole if step == "resolve" else (len(derivations), size)))
        ratio = statistics.median(a / b for a, b in zip(measured, seconds["read and hash"], strict=True))
        missed = cost.seconds >= TARGETS.get(step, float("inf"))
        wanted = f", wanted: below {TARGETS[step]:g} s{' (MISSED)' if missed else ''}" if step in TARGETS else ""
        print(f"  {step:14}{cost}  {ratio:6.1f} x reading and hashing{wanted}")
        fast = fast and not missed
    wrong = sum(path != resolved[drv_path] for drv_path, path in graph.resolutions.items())
    print(f"  resolutions that are not the golden ones: {wrong}")
    return fast and not wrong


# Derivations with more and more inputs


def _growth(rounds: int) -> bool:
    print("inputs     bytes   parse ms  resolve ms  print ms  microseconds an input: parse, resolve, print")
    per_input: dict[int, list[float]] = {}
    for count in INPUTS:
        size, seconds = _with_inputs(count, rounds)
        per_input[count] = [one / count * 1e6 for one in seconds]
        milliseconds = "  ".join(f"{one * 1000:9.3f}" for one in seconds)
        print(f"{count:6} {size:9} {milliseconds}  " + "  ".join(f"{one:7.2f}" for one in per_input[count]))
    growth = max(most / some for most, some in zip(per_input[INPUTS[-1]], per_input[100], strict=True))
    print(f"an input of {INPUTS[-1]} costs at most {growth:.2f} times one of 100, wanted: below {GROWTH:g}")
    return growth < GROWTH


def _with_inputs(count: int, rounds: int) -> tuple[int, list[float]]:
    """Return the size of a derivation with `count` inputs, and the seconds to parse, resolve and print it."""
    derivation, outputs = _made(count)
    drv_path = _path(count, f"{derivation.name}.drv")
    text = print_derivation(derivation, STORE_DIR)
    steps: tuple[Callable[[], object], ...] = (
        lambda: parse_derivation(text, derivation.name, STORE_DIR),
        lambda: resolve(derivation, drv_path, outputs, version=VERSION, store_dir=STORE_DIR),
        lambda: print_derivation(derivation, STORE_DIR),
    )
    repeat = max(1, 5000 // count)
    return len(text), [min(_timed_each(step, repeat) for _ in range(rounds)) for step in steps]


def _path(number: int, name: str) -> str:
    return f"{nix32(sha256(b'%d' % number).digest()[:20])}-{name}"


def _made(count: int) -> tuple[Derivation, dict[InputOutput, str]]:
    """Return a floating derivation whose environment has a placeholder of every input, and the paths of the inputs."""
    inputs = sorted(_path(number, f"input-{number}.drv") for number in range(count))
    holes = [upstream_placeholder(drv_path, "out") for drv_path in inputs]
    derivation = Derivation(
        name="top",
        outputs={"out": Floating(Method.NAR, "sha256")},
        input_drvs={drv_path: InputNode(("out",)) for drv_path in inputs},
        input_srcs=(),
        platform=b"x86_64-linux",
        builder=STORE_DIR.render(_path(-1, "bash")).encode(),
        args=(b"-e", b"builder.sh"),
        env={
            b"buildInputs": " ".join(holes[: count // 2]).encode(),
            **{b"input%06d" % number: hole.encode() for number, hole in enumerate(holes[count // 2 :])},
            b"name": b"top",
            b"out": b"",
        },
    )
    return derivation, {InputOutput(drv_path, ("out",)): drv_path.removesuffix(".drv") for drv_path in inputs}
