"""Create a worker from options; `worker`: run one until it is stopped."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psycopg

from ..database.procedures import ONLY_KINDS, VERBS, OnlyKind, Procedures, Verb
from ..descriptors import jobs_within
from ..hydra_conf import UploadError, refuse_uploads
from ..loop.worker import Worker
from ..loop.worker_files import WorkerFiles
from ..loop.worker_state import Capabilities, Observer
from ..nix.settings import BuildSettings
from ..nix.store import Store
from ..queue_runner_lock import QueueRunnerError, lock_out_queue_runner
from ..setting_kinds import MOST_JOBS, is_feature_limit
from ..settings_file import Settings
from ..verbs.context import Context
from .errors import CouldNotRun, clear_errors
from .progress import observer_for
from .target import (
    Options,
    open_both,
    open_roots,
    require_ca_derivations,
    require_files,
    store_identity,
    target_options,
)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker on the command line; `None`: use the environment, the settings file, or the default."""

    systems: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    feature_limits: tuple[str, ...] | None = None
    only: OnlyKind | None = None
    trust_store: bool | None = None
    max_log_size: int | None = None
    max_output_size: int | None = None
    logs: Path | None = None
    listen_database: str | None = None


@contextmanager
def running_worker(
    options: Options,
    conninfo: str,
    store: Store,
    *,
    verbs: Sequence[Verb] = VERBS,
    jobs: int | None = None,
    wishes: WorkerOptions | None = None,
    observer: Observer | None = None,
) -> Iterator[Worker]:
    """Run a worker as long as this is open; at the end it stops, and aborts its builds."""
    wishes, observer = wishes or WorkerOptions(), observer or Observer()
    own = options.settings
    require_ca_derivations(store)
    require_files(store)
    settings = store.settings
    only: OnlyKind | None = own.value("only", wishes.only)
    trusted = own.value("trust_store", wishes.trust_store)
    context = Context(
        store,
        open_roots(options),
        own.value("logs", wishes.logs) or _own_logs(options, observer),
        options.store is None if trusted is None else trusted,
        max_log_size=own.value("max_log_size", wishes.max_log_size),
        max_output_size=own.value("max_output_size", wishes.max_output_size),
        remote=only is None,
    )
    builders = settings.builders if only is None else ()
    limits = [limit.rpartition("=") for limit in own.value("feature_limits", wishes.feature_limits) or ()]
    abilities = Capabilities(
        name=f"{platform.node()}:{os.getpid()}",
        verbs=tuple(verbs),
        systems=_systems(own.value("systems", wishes.systems), settings),
        features=tuple(own.value("features", wishes.features) or settings.system_features),
        jobs=_possible_jobs(own.value("jobs", jobs) or settings.max_jobs or sum(b.jobs for b in builders), observer),
        store_identity=store_identity(options),
        builders=builders,
        feature_limits={feature: int(number) for feature, _, number in limits},
        only_kind=only,
    )
    listen = options.listen_url(conninfo, wishes.listen_database)
    with _beside_hydra(options, observer), closing(Procedures(conninfo)) as procedures:
        worker = Worker(
            procedures,
            context,
            abilities,
            observer=observer,
            listen_conninfo=listen,
            listen=listen is not None,
            files=_worker_files(options, procedures),
        )
        try:
            worker.start()
            yield worker
        finally:
            worker.stop()


def _checked_limits(_context: click.Context, _option: click.Parameter, limits: tuple[str, ...]) -> tuple[str, ...]:
    for limit in limits:
        if not is_feature_limit(limit):
            raise click.BadParameter(f"'{limit}' is not a feature with a number, such as big-parallel=1")
    return limits


def _systems(named: Sequence[str] | None, settings: BuildSettings) -> tuple[str, ...]:
    """Return the systems to build for, each once: this machine's own first, as Hydra's page shows the first as own."""
    # With max-jobs = 0 Nix builds nothing on this machine.
    systems = named or ((settings.system, *settings.extra_platforms) if settings.max_jobs else ())
    return tuple(sorted(dict.fromkeys(systems), key=lambda system: system != settings.system))


def _worker_files(options: Options, procedures: Procedures) -> WorkerFiles | None:
    """Return the files of workers of this state directory; `None` if such files would be ambiguous."""
    try:
        return WorkerFiles(options.state_directory.workers, procedures.database_identity())
    except (OSError, psycopg.Error):  # no identity of the boot, or of the database
        return None


def _possible_jobs(wanted: int, observer: Observer) -> int:
    """Return the number of builds at a time; if it is lower than wanted, report the reason."""
    jobs, descriptors = jobs_within(min(max(wanted, 1), MOST_JOBS))
    if jobs < min(wanted, MOST_JOBS):
        message = (
            f"A process may have {descriptors} open files here: enough for {jobs} builds at a time, not for {wanted}."
            " Raise the limit: `ulimit -n`, or LimitNOFILE in the unit of the service."
        )
        observer.event("note", message=message)
    elif jobs < wanted:
        observer.event("note", message=f"A worker runs at most {MOST_JOBS} builds at a time, not {wanted}.")
    return jobs


def _own_logs(options: Options, observer: Observer) -> Path:
    """Return the directory of logs if no setting names one; for a named database, warn that Hydra can't show them."""
    logs = options.state_directory.logs
    if options.database is not None:
        message = (
            f"Build logs are written to {logs}, and Hydra's pages can't show them: Hydra's data directory is not known."
            " Set `hydra_data` in the settings file, or the variable HYDRA_DATA."
        )
        observer.event("note", message=message)
    return logs


@contextmanager
def _beside_hydra(options: Options, observer: Observer) -> Iterator[None]:
    """Replace Hydra's queue runner. Raises CouldNotRun if it is running, or hydra.conf asks for uploads."""
    own = options.settings if options.database is not None else Settings()
    try:
        refuse_uploads(own.value("hydra_config"))
        with lock_out_queue_runner(own.value("hydra_data")) as told:
            if told:
                observer.event("note", message=told)
            yield
    except (QueueRunnerError, UploadError) as error:
        raise CouldNotRun(str(error)) from error


@contextmanager
def _serving_status(address: str | None, conninfo: str, observer: Observer) -> Iterator[None]:
    """Serve the status by HTTP. If the address is in use, perhaps by another worker, the worker runs without it."""
    with ExitStack() as open_ones:
        if address is not None:
            from ..status_server import StatusServer  # most workers don't need it, and start faster

            procedures = open_ones.enter_context(closing(Procedures(conninfo, connections=1)))
            try:
                open_ones.enter_context(StatusServer(address, procedures))
            except ValueError as error:
                raise CouldNotRun(f"{error}: write a port, or HOST:PORT.") from error
            except OSError as error:
                observer.event("note", message=f"The status is not served at {address}: {error}")
        yield


@click.command()
@click.option("--verb", "verbs", type=click.Choice(VERBS), multiple=True, help="The work to do; default: all three.")
@click.option("--jobs", type=click.IntRange(1, MOST_JOBS), help="Builds at the same time; default: Nix's max-jobs.")
@click.option(
    "--system", "systems", multiple=True, metavar="NAME", help="Build for this system; default: Nix's systems."
)
@click.option(
    "--feature", "features", multiple=True, metavar="NAME", help="A system feature of this machine; default: Nix's."
)
@click.option(
    "--feature-limit",
    "feature_limits",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=_checked_limits,
    help="The most builds at a time that require this feature, such as big-parallel=1.",
)
@click.option(
    "--only",
    type=click.Choice(ONLY_KINDS),
    help="local: no builds on remote builders; prefer-local: of these, only builds with preferLocalBuild.",
)
@click.option("--drain", is_flag=True, help="Exit when no work is left.")
@click.option(
    "--trust-store/--no-trust-store",
    default=None,
    help="Trust realisations on the store's record; default: only those of an embedded store.",
)
@click.option(
    "--max-log-size",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="End a build with a longer log; 0: no limit; default: hydra.conf's, else 64 MiB.",
)
@click.option(
    "--max-output-size",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="Fail a build with larger outputs; 0: no limit; default: hydra.conf's, else 2 GiB.",
)
@click.option("--logs", type=click.Path(path_type=Path), metavar="DIR", help="Directory of build logs.")
@click.option(
    "--listen-database",
    metavar="URL",
    help="The database to listen on, if --database is a pooler; 'none': poll for work.",
)
@click.option(
    "--status-address",
    metavar="[HOST:]PORT",
    help="Serve the status by HTTP, for Hydra's pages and monitors; default: don't.",
)
@click.option("--json", "as_json", is_flag=True, help="Print events as one JSON object a line.")
@target_options
@clear_errors
def worker(
    options: Options,
    verbs: tuple[Verb, ...],
    jobs: int | None,
    systems: tuple[str, ...],
    features: tuple[str, ...],
    feature_limits: tuple[str, ...],
    drain: bool,
    status_address: str | None,
    as_json: bool,
    **wishes: Any,
) -> None:
    """Load, resolve and build what the database asks for, until stopped (SIGTERM, SIGINT)."""
    with open_both(options) as (conninfo, store):
        observer = observer_for(as_json=as_json)
        with (
            _serving_status(options.settings.value("status_address", status_address), conninfo, observer),
            running_worker(
                options,
                conninfo,
                store,
                verbs=options.settings.value("verbs", verbs or None),
                jobs=jobs,
                wishes=WorkerOptions(
                    systems=systems or None, features=features or None, feature_limits=feature_limits or None, **wishes
                ),
                observer=observer,
            ) as running,
        ):
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: running.shared.stop())
            with observer.shown(running.shared.procedures):
                if drain:
                    running.drain()
                else:
                    running.wait()
