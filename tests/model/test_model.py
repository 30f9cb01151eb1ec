"""Random calls in random order: the procedures do what a plain model says, and no build waits forever."""

from __future__ import annotations

import os
import sys
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .model_farm import Farm
from .model_rules import Machine


def drive(conninfo: str, examples: int, steps: int, *, randomly: bool = True) -> None:
    """Run random examples; raise the first error, with the steps of the shortest failing example."""
    farm = Farm(conninfo)
    machine = type("Machine", (Machine,), {"farm": farm})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=not randomly,
                database=None,
                deadline=None,
                print_blob=True,
                suppress_health_check=[*HealthCheck],
            ),
        )
    finally:
        farm.close()


def test_the_database_agrees_with_the_model(database: str) -> None:
    drive(database, 20, 30)


@pytest.mark.storm
def test_the_database_agrees_with_the_model_until_the_time_is_up(database: str) -> None:
    end = time.monotonic() + float(os.environ["HYDRA_RESOLVER_STORM_SECONDS"])
    while time.monotonic() < end:
        drive(database, 50, 50)


if __name__ == "__main__":
    drive(sys.argv[1], int(sys.argv[2]), 30, randomly=False)
