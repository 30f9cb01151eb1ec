"""Compares the worker's wall time with that of `nix-store --realise -j2`, for one graph in fresh stores of one kind.

The graph has layers of trivial floating derivations; each derivation depends on the whole layer below. Each side is a
whole process, with the .drv files already in the store. On the worker's side the database is running, the queue has one
build, and the modules are compiled, as after an installation.
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hydra_resolver
from hydra_resolver.embedded.store import EmbeddedStore

LAYERS = """
let
  build = name: inputs: derivation {
    inherit name inputs;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo ${name} > $out" ];
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };
  layer = n: if n == 0 then [] else
    let below = layer (n - 1); in builtins.genList (i: build "layer-${toString n}-${toString i}" below) WIDTH;
in build "top" (layer DEPTH)
"""


def main(words: list[str]) -> int:
    """Run and print; return 1 if the ratio is above 1."""
    parser = argparse.ArgumentParser(prog="end-to-end", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--depth", type=int, default=40)
    parser.add_argument("--width", type=int, default=10)
    options = parser.parse_args(words)
    compileall.compile_dir(Path(hydra_resolver.__file__).parent, quiet=1)
    ratios = []
    with tempfile.TemporaryDirectory(prefix="hydra-resolver-bench-") as directory:
        file = Path(directory) / "layers.nix"
        file.write_text(LAYERS.replace("WIDTH", str(options.width)).replace("DEPTH", str(options.depth)))
        for number in range(options.rounds):
            theirs = _with_nix_store(Path(directory) / f"nix-{number}", file)
            ours = _with_the_worker(Path(directory) / f"ours-{number}", file)
            ratios.append(ours / theirs)
            print(
                f"round {number + 1}: worker {ours:.2f} s, nix-store {theirs:.2f} s, ratio {ratios[-1]:.2f}", flush=True
            )
    builds = options.depth * options.width + 1
    print(f"{builds} derivations, median ratio {statistics.median(ratios):.2f}")
    return 0 if statistics.median(ratios) <= 1 else 1


def _with_nix_store(directory: Path, file: Path) -> float:
    store = EmbeddedStore(directory)
    store.prepare()
    environment = store.child_environment()
    drv = subprocess.run(
        ["nix-instantiate", file], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    began = time.perf_counter()
    subprocess.run(["nix-store", "--realise", "-j2", drv], env=environment, capture_output=True, check=True)
    return time.perf_counter() - began


def _with_the_worker(state: Path, file: Path) -> float:
    command = [sys.executable, "-m", "hydra_resolver"]
    subprocess.run([*command, "enqueue", "--state", state, file], capture_output=True, check=True)
    timed = "import subprocess, sys, time; t = time.perf_counter(); subprocess.run(sys.argv[1:], check=True, "
    timed += "capture_output=True); print(time.perf_counter() - t)"
    # `exec` keeps the server running, so that the server's start is not measured.
    result = subprocess.run(
        [*command, "exec", "--state", state, sys.executable, "-c", timed,
         *command, "worker", "--drain", "--jobs", "2", "--state", state],
        env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(result.stdout)
