"""`enqueue` and `run`: evaluate a file and add its builds; `run` also builds them."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..database.procedures import Procedures
from ..evaluation import EvaluationFailure
from ..loop.worker import Worker
from ..nix.store import Store
from ..setting_kinds import MOST_JOBS
from .errors import CouldNotRun, clear_errors
from .jobs import enqueue_file, evaluation_options
from .progress import Progress, observer_for
from .tables import show_builds
from .target import Options, open_both, open_database, open_store, target_options
from .words import counted
from .work import running_worker


@click.command()
@evaluation_options
@target_options
@clear_errors
def enqueue(options: Options, file: Path, **evaluation: Any) -> None:
    """Evaluate FILE (a Nix file, or a .drv) and add a build for each of its jobs; workers build them."""
    progress = observer_for()
    with open_database(options) as conninfo:
        procedures = Procedures(conninfo)
        try:
            store = open_store(options)
            with progress.shown(procedures):
                builds, failures = enqueue_file(
                    options, procedures, store, file, on_progress=progress.doing, **evaluation
                )
        finally:
            procedures.close()
    for failure in failures:
        progress.say(f"{failure.attribute}: {failure.message}")
    for build in builds:
        click.echo(build)
    sys.exit(0 if not failures else 1 if builds else 2)


@click.command()
@evaluation_options
@click.option("--jobs", type=click.IntRange(1, MOST_JOBS), help="Builds at the same time; default: Nix's max-jobs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each build.")
@target_options
@clear_errors
def run(options: Options, file: Path, jobs: int | None, as_json: bool, **evaluation: Any) -> None:
    """Evaluate FILE (a Nix file, or a .drv), build all of its jobs, and show the results.

    Exit status 0 if all builds succeeded, 1 if some did not, 2 if the command could not be run.
    """
    sys.exit(run_file(options, file, jobs=jobs, as_json=as_json, **evaluation))


@dataclass(frozen=True, slots=True)
class Session:
    """A running worker with its store, and the observer of its events."""

    options: Options
    store: Store
    worker: Worker
    progress: Progress

    def interrupted(self) -> bool:
        """Return whether the worker was asked to stop."""
        return self.worker.shared.stopping.is_set()


@contextmanager
def open_session(options: Options, *, jobs: int | None = None) -> Iterator[Session]:
    """Run a worker as long as this is open; it stops early at SIGTERM and SIGINT."""
    with open_both(options) as (conninfo, store):
        progress = observer_for()
        with running_worker(options, conninfo, store, jobs=jobs, observer=progress) as worker:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: worker.shared.stop())
            yield Session(options, store, worker, progress)


def build_file(session: Session, file: Path, **evaluation: Any) -> tuple[list[dict[str, Any]], list[EvaluationFailure]]:
    """Evaluate a file and build its jobs; return a report for each build, and attributes that failed to evaluate."""
    progress, procedures = session.progress, session.worker.shared.procedures
    with progress.shown(procedures):
        with _interrupted_at_once():
            builds, failures = enqueue_file(
                session.options, procedures, session.store, file, on_progress=progress.doing, **evaluation
            )
        for failure in failures:
            progress.say(f"{failure.attribute}: {failure.message}")
        progress.doing("")
        session.worker.drain(lambda: procedures.all_finished(builds))
        if session.interrupted():
            session.worker.stop()  # before the reports, so that these show the final state of the builds
    return [report for build in builds if (report := procedures.build_report(build))], failures


@contextmanager
def _interrupted_at_once() -> Iterator[None]:
    """Let SIGTERM and SIGINT end this block at once: no build is running yet that has to be ended in order."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except KeyboardInterrupt:
        raise CouldNotRun("interrupted before there was anything to build.") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_file(options: Options, file: Path, *, jobs: int | None, as_json: bool, **evaluation: Any) -> int:
    """Do the work of `run`; return the exit status."""
    with open_session(options, jobs=jobs) as session:
        reports, failures = build_file(session, file, **evaluation)
        interrupted = session.interrupted()
    if as_json:
        print_json(reports)
    elif reports:
        show_builds(reports)
    elif not failures:
        click.echo(f"{file} has no derivations: there is nothing to build", err=True)
    unfinished = sum(not report["finished"] for report in reports)
    if unfinished:
        click.echo(
            f"{'interrupted: ' if interrupted else ''}{counted(unfinished, 'build')} left in the queue."
            " `hydra-resolver status` shows what these builds wait for; another run or worker continues.",
            err=True,
        )
    if failures and not reports:
        return 2
    good = not failures and all(report["finished"] and report["status"] == 0 for report in reports)
    return 0 if good else 1


def print_json(reports: Sequence[dict[str, Any]]) -> None:
    """Print one object a line for each build."""
    for report in reports:
        click.echo(json.dumps(json_report(report)))


def json_report(report: dict[str, Any]) -> dict[str, Any]:
    """Return a build in the form that `run --json` prints."""
    return {
        "build": report["build"],
        "job": report["job"],
        "drv": report["drv"],
        "status": report["status"] if report["finished"] else None,
        "cached": report["cached"],
        "outputs": report["outputs"],
        "steps": [
            {name: step[name] for name in ("stepnr", "type", "drv", "status", "resolved")} for step in report["steps"]
        ],
    }
