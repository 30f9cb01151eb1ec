"""Checks for commands that cannot do their work: a clear end, and no half-done change in the database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .farm import Farm
from .waiting import PATIENCE, wait_until


def ended(farm: Farm, *words: str | Path, status: int) -> subprocess.CompletedProcess[str]:
    """Run a command that must end with this status and leave the database sound; with status 2, also unchanged."""
    before = contents(farm)
    done = farm.command(*words, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    if status == 2:
        assert contents(farm) == before
    assert_sound(farm)
    return done


def could_not_run(farm: Farm, *words: str | Path) -> str:
    """Run a command that must end with status 2; return its stderr."""
    done = ended(farm, *words, status=2)
    assert done.stdout == ""
    return done.stderr


def contents(farm: Farm) -> list[dict[str, object]]:
    """Count the builds and the known derivations."""
    return farm.rows(
        "select (select count(*) from Builds) as builds, (select count(*) from resolver.derivation) as derivations"
    )


def assert_sound(farm: Farm) -> None:
    """Assert that nothing is claimed or busy and no invariant is broken."""
    assert farm.rows("select * from resolver.lease where closed_at is null") == []
    assert farm.rows("select * from BuildSteps where busy <> 0") == []
    assert farm.violations() == []


def only_step(farm: Farm, build: int) -> dict[str, object]:
    """Return the only step of a build."""
    (step,) = farm.rows("select * from BuildSteps where build = %s", build)
    return step


class Running:
    """A command in the background, with its output in a file."""

    def __init__(self, farm: Farm, *words: str | Path, log: Path) -> None:
        verb, *rest = words
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hydra_resolver", verb, "--state", farm.state, *rest],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("HYDRA_")},
                process_group=0,
            )

    def output(self) -> str:
        """Return what the command has printed so far."""
        return self.log.read_text()

    def says(self, words: str, *, within: float = PATIENCE) -> None:
        """Wait until the command has printed these words."""
        wait_until(lambda: words in self.output() or self.process.poll() is not None, within=within)
        assert words in self.output(), self.output()

    def ends(self, *, within: float = PATIENCE) -> int:
        """Wait for the end of the command; return its exit status."""
        status = self.process.wait(within)
        assert "Traceback" not in self.output(), self.output()
        return status


@contextmanager
def running(farm: Farm, *words: str | Path) -> Iterator[Running]:
    """Run a command in the background; kill it in the end if it still runs."""
    command = Running(farm, *words, log=farm.state / f"output-{time.monotonic_ns()}")
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait()
