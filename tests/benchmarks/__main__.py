"""Runs the benchmark with the given name; without a name, lists the benchmarks."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.nix.graphs import NoData

NAMES = sorted(
    path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[a-z]*.py") if not path.stem.startswith("_")
)


def main(words: list[str]) -> int:
    """Run one benchmark; return the exit status."""
    if not words or words[0] not in NAMES:
        print("benchmarks:", *NAMES, sep="\n  ")
        return 2 if words else 0
    module = importlib.import_module(f"tests.benchmarks.{words[0].replace('-', '_')}")
    try:
        return int(module.main(words[1:]))
    except NoData as error:
        print(error)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
