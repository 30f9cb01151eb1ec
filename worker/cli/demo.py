"""`demo`: the examples, built and explained."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .errors import clear_errors
from .run import run_file
from .target import Options, target_options

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each build.")
@target_options
@clear_errors
def demo(options: Options, as_json: bool) -> None:
    """Build examples/demo.nix and show what happened."""
    status, _ = run_file(options, EXAMPLES / "demo.nix", jobs=None, as_json=as_json)
    sys.exit(0 if status in (0, 1) else status)
