"""Making a worker out of options; `worker`: running one until it is told to stop."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from ..build_log import DEFAULT_LIMIT
from ..database.procedures import VERBS, Procedures, Verb
from ..loop.shared import Abilities, Observer
from ..loop.worker import Worker
from ..nix.store import Store
from ..verbs.context import Context
from .errors import CouldNotRun, clear_errors
from .progress import observer_for
from .target import Options, open_database, open_roots, open_store, store_identity, target_options


@contextmanager
def running_worker(
    options: Options,
    conninfo: str,
    store: Store,
    *,
    verbs: Sequence[Verb] = VERBS,
    jobs: int | None = None,
    trust_store: bool = False,
    max_log_size: int = DEFAULT_LIMIT,
    observer: Observer | None = None,
) -> Iterator[Worker]:
    """A started worker; it is stopped at the end, its builds aborted."""
    state = options.state_directory
    settings = store.settings
    if "ca-derivations" not in settings.experimental_features:
        raise CouldNotRun(
            "Nix has no content-addressed derivations here: the experimental feature ca-derivations is off."
            " Add the line `extra-experimental-features = ca-derivations` to nix.conf"
            " (to the daemon's, if there is one, and restart it)."
        )
    context = Context(
        store, open_roots(options), state.logs, trust_store or options.store is None, max_log_size=max_log_size
    )
    abilities = Abilities(
        name=f"{platform.node()}:{os.getpid()}",
        verbs=tuple(verbs),
        systems=(settings.system, *settings.extra_platforms),
        features=settings.system_features,
        jobs=jobs or max(1, settings.max_jobs),
        store_identity=store_identity(options),
    )
    procedures = Procedures(conninfo)
    try:
        worker = Worker(procedures, context, abilities, observer=observer)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()
    finally:
        procedures.close()


@click.command()
@click.option("--verb", "verbs", type=click.Choice(VERBS), multiple=True, help="What it does; default: all three.")
@click.option("--jobs", type=click.IntRange(min=1), help="Builds at the same time; default: Nix's max-jobs.")
@click.option("--drain", is_flag=True, help="End when nothing is left to do.")
@click.option(
    "--trust-store",
    is_flag=True,
    help="Believe realisations that the store has on record; always so for an embedded one.",
)
@click.option(
    "--max-log-size",
    type=click.IntRange(min=0),
    metavar="BYTES",
    default=DEFAULT_LIMIT,
    show_default=True,
    help="A build whose log is longer is ended; 0: no limit.",
)
@click.option("--json", "as_json", is_flag=True, help="Print events as one JSON object a line.")
@target_options
@clear_errors
def worker(
    options: Options,
    verbs: tuple[Verb, ...],
    jobs: int | None,
    drain: bool,
    trust_store: bool,
    max_log_size: int,
    as_json: bool,
) -> None:
    """Load, resolve and build what the database wants, until told to stop (SIGTERM, SIGINT)."""
    with open_database(options) as conninfo:
        store = open_store(options)
        observer = observer_for(as_json=as_json)
        with running_worker(
            options,
            conninfo,
            store,
            verbs=verbs or VERBS,
            jobs=jobs,
            trust_store=trust_store,
            max_log_size=max_log_size,
            observer=observer,
        ) as running:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: running.shared.stop())
            with observer.shown(running.shared.procedures):
                if drain:
                    running.drain()
                else:
                    running.wait()
