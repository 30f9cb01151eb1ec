"""Runs the parts of ./dev test side by side, all of them even if some fail, and prints a summary at the end.

python -m tests.run_all [--storm [SECONDS]] [--only PART]... [PYTEST-ARGS...]
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from .parts import CORES, DEFAULT_STORM, PYTEST, ROOT, STORM, Part, parts, runs_all
from .support.memory import directory_in_memory

SILENCE = 10.0
"""Seconds without output after which a line shows the progress of the parts."""
PATIENCE = 30.0
"""Seconds that an interrupted part has to stop its processes."""


@dataclass(frozen=True)
class Result:
    """The result of a part."""

    part: Part
    passed: bool
    seconds: float


@dataclass(frozen=True)
class Runner:
    """Runs parts with common arguments and a common environment."""

    arguments: Sequence[str]
    environment: Mapping[str, str]

    def command(self, part: Part) -> list[str]:
        """Return the command of a part."""
        return [sys.executable, "-m", "tests.parts", part.name, *self.arguments]

    def run(self, part: Part) -> Result:
        """Run a part in the foreground."""
        print(f"\n== {part.heading}", flush=True)
        began = time.monotonic()
        process = subprocess.Popen(self.command(part), cwd=ROOT, env=self.environment)
        with interrupted_together([process]):
            process.wait()
        return Result(part, process.returncode == 0, time.monotonic() - began)

    def start(self, part: Part) -> Running:
        """Run a part in the background."""
        return Running(part, self.command(part), self.environment)


class Running:
    """A part in the background. Its output is kept until it has ended."""

    def __init__(self, part: Part, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.part = part
        self._began = time.monotonic()
        self._output, name = tempfile.mkstemp()
        Path(name).unlink()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def progress(self) -> str:
        """Return the part's progress: a percentage, or else its last line."""
        *lines, _ = self._text().split("\n")
        percentages = re.findall(r"\[ *(\d+%)\]$", "\n".join(lines), re.MULTILINE)
        return f"{self.part.name} {percentages[-1] if percentages else Path(lines[-1]).name.strip() if lines else ''}"

    def tell(self) -> Result:
        """Print all output of a part that has ended, and return its result."""
        result = Result(self.part, self.process.returncode == 0, time.monotonic() - self._began)
        print(f"\n== {self.part.heading}\n{self._text()}", end="", flush=True)
        os.close(self._output)
        return result

    def _text(self) -> str:
        # A read at the file's position would move the position at which the process writes.
        return os.pread(self._output, os.fstat(self._output).st_size, 0).decode(errors="replace")


def run_together(chosen: Sequence[Part], runner: Runner) -> list[Result]:
    """Run parts side by side; print the output of each when it has ended.

    pytest takes longest, and begins. The others share the remaining cores, the cheapest first.
    """
    todo = sorted(chosen, key=lambda part: part.name != PYTEST)
    began = said = time.monotonic()
    running: list[Running] = []
    processes: list[subprocess.Popen[bytes]] = []
    results: dict[str, Result] = {}
    try:
        with interrupted_together(processes):
            while todo or running:
                while todo and sum(one.part.name != PYTEST for one in running) < max(1, CORES - 1):
                    running.append(runner.start(todo.pop(0)))
                    processes.append(running[-1].process)
                time.sleep(0.1)
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    results[one.part.name] = one.tell()
                    said = time.monotonic()
                if time.monotonic() - said > SILENCE:
                    said = time.monotonic()
                    print(f"-- {said - began:.0f} s: {', '.join(one.progress() for one in running)}", flush=True)
    finally:
        for one in running:  # these were interrupted
            one.tell()
    return [results[part.name] for part in chosen]


@contextmanager
def interrupted_together(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """If this process is interrupted or terminated, interrupt the others and give them time to stop their servers."""
    try:
        yield
    except KeyboardInterrupt:  # a terminal interrupts them as well: a second signal would disturb them
        wait_for(processes)
        raise
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
        wait_for(processes)
        for process in processes:
            process.kill()


def wait_for(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until all processes have ended, for a limited time."""
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))


@contextmanager
def compiling_once() -> Iterator[dict[str, str]]:
    """An environment in which Python keeps compiled files, even if it may not write beside the sources.

    Tests start Python a thousand times.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory(prefix="hydra-resolver-pyc-") as directory:
        if environment.pop("PYTHONDONTWRITEBYTECODE", None):
            environment["PYTHONPYCACHEPREFIX"] = directory
        yield environment


def terminated(number: int, _frame: FrameType | None) -> None:
    """Exit as after an error, so that all cleanups run."""
    sys.exit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts and print a summary; return 0 if all passed and 1 otherwise."""
    parser = argparse.ArgumentParser(prog="./dev test", description="Run all tests. Other words are passed to pytest.")
    parser.add_argument(
        "--storm",
        nargs="?",
        type=int,
        const=DEFAULT_STORM,
        metavar="SECONDS",
        help=f"also run the tests that take long, and those without end for that long (default {DEFAULT_STORM} s)",
    )
    parser.add_argument(
        "--only", action="append", choices=[part.name for part in parts()], help="run this part only; can be repeated"
    )
    options, pytest_arguments = parser.parse_known_args(arguments)
    only = options.only or [part.name for part in parts() if part.name != STORM or options.storm is not None]
    storm_seconds = options.storm or DEFAULT_STORM
    chosen = [part for part in parts(pytest_arguments, storm_seconds) if part.name in only]
    ordinary = [part for part in chosen if part.name != STORM]
    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by a shell that starts this in the background
    results: list[Result] = []
    with compiling_once() as environment:
        runner = Runner([str(storm_seconds), *pytest_arguments], environment)
        with ExitStack() as stack:
            in_memory = runner
            if runs_all(pytest_arguments) and "TMPDIR" not in environment:
                directory = stack.enter_context(directory_in_memory())
                if directory is not None:
                    in_memory = Runner(runner.arguments, environment | {"TMPDIR": str(directory)})
            results += run_together(ordinary, in_memory) if len(ordinary) > 1 else map(in_memory.run, ordinary)
        results += [runner.run(part) for part in chosen if part.name == STORM]
    print("\n== summary")
    for result in results:
        print(f"{'passed' if result.passed else 'FAILED'}  {result.seconds:6.1f} s  {result.part.heading}")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
