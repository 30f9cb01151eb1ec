"""`enqueue` and `run`: evaluate, add the builds; and work until they are done."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..database.procedures import Procedures
from ..evaluation import EvaluationFailure, Job, evaluate, is_derivation_file
from ..loop.worker import Worker
from ..nix.store import Store
from ..nix.store_path import derivation_name
from .errors import CouldNotRun, clear_errors
from .progress import Progress, observer_for
from .tables import show_builds
from .target import Options, open_database, open_store, target_options
from .work import running_worker

PROJECT = "local"


def evaluation_options(command: Any) -> Any:
    """Options of the commands that evaluate."""
    for decorate in (
        click.argument("file", type=click.Path(path_type=Path)),
        click.option("-A", "--attr", "attributes", multiple=True, metavar="ATTR", help="Only this attribute."),
        click.option("--arg", "args", type=(str, str), multiple=True, metavar="N EXPR", help="A Nix expression as argument."),
        click.option("--argstr", "argstrs", type=(str, str), multiple=True, metavar="N VALUE", help="A string as argument."),
        click.option("--cached-failures", is_flag=True, help="What is known to fail is not tried again."),
    ):
        command = decorate(command)
    return command


def enqueue_file(
    options: Options,
    procedures: Procedures,
    store: Store,
    file: Path,
    *,
    attributes: Sequence[str] = (),
    args: Sequence[tuple[str, str]] = (),
    argstrs: Sequence[tuple[str, str]] = (),
    cached_failures: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> tuple[list[int], list[EvaluationFailure]]:
    """Evaluate a file and add a build for each job; returns the builds, and what failed to evaluate.

    The .drv files are rooted before they are named to anybody. Raises EvaluationError when nothing could be evaluated.
    """
    roots = options.state_directory.roots / "evaluations"
    roots.mkdir(parents=True, exist_ok=True)
    if is_derivation_file(file):
        results: Sequence[Job | EvaluationFailure] = [_job_of_derivation(store, options, file)]
    else:
        results = evaluate(
            file,
            gc_roots=roots,
            env=store.env,
            attributes=attributes,
            args=dict(args),
            argstrs=dict(argstrs),
            store=store.uri or None,
            on_progress=on_progress,
        )
    jobs = [result for result in results if isinstance(result, Job)]
    failures = [result for result in results if isinstance(result, EvaluationFailure)]
    builds = procedures.enqueue(
        project=PROJECT,
        jobset=re.sub(r"[^A-Za-z0-9._-]", "-", file.stem if not is_derivation_file(file) else "derivations"),
        file=str(file.resolve()),
        jobs=[_for_database(job) for job in jobs],
        errors="\n".join(f"{failure.attribute}: {failure.message}" for failure in failures) or None,
        retry=not cached_failures,
    )
    return builds, failures


def _for_database(job: Job) -> dict[str, Any]:
    fields = dataclasses.asdict(job)
    return fields | {"job": fields.pop("name"), "priority": fields.pop("scheduling_priority")}


def _job_of_derivation(store: Store, options: Options, file: Path) -> Job:
    from ..nix.roots import RootDirectory

    drv = store.base_name(str(file if file.is_absolute() or file.parent != Path() else file.name))
    with store.connect() as client:
        if not client.protect([drv]):
            raise CouldNotRun(f"{file} is not in the store {store.store_dir.path}: name a valid .drv file of that store.")
        RootDirectory(options.state_directory.roots).add(client, drv)
        derivation = store.read_derivation(drv, client)
    name = derivation_name(drv)
    return Job(
        name=name,
        drv=store.full_path(drv),
        system=derivation.platform.decode(errors="replace"),
        nix_name=name,
        description=None,
        license=None,
        homepage=None,
        maintainers=None,
        max_silent=None,
        timeout=None,
        scheduling_priority=100,
        is_channel=False,
        outputs={
            output: store.full_path(path) if (path := derivation.output_path(output, store.store_dir)) else None
            for output in derivation.outputs
        },
    )


@click.command()
@evaluation_options
@target_options
@clear_errors
def enqueue(options: Options, file: Path, **evaluation: Any) -> None:
    """Evaluate FILE (a Nix file, or a .drv) and add a build for each of its jobs; workers do the rest."""
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
    sys.exit(1 if failures else 0)


@click.command()
@evaluation_options
@click.option("--jobs", type=click.IntRange(min=1), help="Builds at the same time; default: Nix's max-jobs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each build.")
@target_options
@clear_errors
def run(options: Options, file: Path, jobs: int | None, as_json: bool, **evaluation: Any) -> None:
    """Evaluate FILE (a Nix file, or a .drv), build all of its jobs, and show what came of it.

    Exit status 0 if all succeeded, 1 if some did not, 2 if it could not be run.
    """
    sys.exit(run_file(options, file, jobs=jobs, as_json=as_json, **evaluation))


@dataclass(frozen=True, slots=True)
class Session:
    """A running worker with its store, and who is told of what it does."""

    options: Options
    store: Store
    worker: Worker
    progress: Progress

    def interrupted(self) -> bool:
        """Whether the worker was told to stop."""
        return self.worker.shared.stopping.is_set()


@contextmanager
def open_session(options: Options, *, jobs: int | None = None) -> Iterator[Session]:
    """A worker that runs as long as this is open, and stops early at SIGTERM and SIGINT."""
    with open_database(options) as conninfo:
        store = open_store(options)
        progress = observer_for()
        with running_worker(options, conninfo, store, jobs=jobs, observer=progress) as worker:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: worker.shared.stop())
            yield Session(options, store, worker, progress)


def build_file(session: Session, file: Path, **evaluation: Any) -> tuple[list[dict[str, Any]], list[EvaluationFailure]]:
    """Evaluate a file and build its jobs; returns a report for each build, and what failed to evaluate."""
    progress, procedures = session.progress, session.worker.shared.procedures
    with progress.shown(procedures):
        builds, failures = enqueue_file(
            session.options, procedures, session.store, file, on_progress=progress.doing, **evaluation
        )
        for failure in failures:
            progress.say(f"{failure.attribute}: {failure.message}")
        progress.doing("")
        session.worker.drain(lambda: procedures.all_finished(builds))
    return [report for build in builds if (report := procedures.build_report(build))], failures


def run_file(options: Options, file: Path, *, jobs: int | None, as_json: bool, **evaluation: Any) -> int:
    """Do what `run` does; returns the exit status."""
    with open_session(options, jobs=jobs) as session:
        reports, failures = build_file(session, file, **evaluation)
    if as_json:
        print_json(reports)
    else:
        show_builds(reports)
    good = not failures and all(report["finished"] and report["status"] == 0 for report in reports)
    return 0 if good else 1


def print_json(reports: Sequence[dict[str, Any]]) -> None:
    """Print one object a line for each build."""
    for report in reports:
        click.echo(json.dumps(json_report(report)))


def json_report(report: dict[str, Any]) -> dict[str, Any]:
    """A build as `run --json` prints it."""
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
