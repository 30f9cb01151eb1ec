"""A worker: registers, starts its concerns, and ends them in order."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import psycopg

from .. import failpoints
from ..database.procedures import Procedures
from ..nix.errors import StoreError
from ..nix.protocol.connection import observers
from ..verbs.context import Context
from .build_loop import BuildLoop
from .graph_loop import GraphLoop
from .heartbeat import Heartbeat
from .listener import Listener
from .status_dumper import StatusDumper
from .ticker import Ticker
from .worker_files import WorkerFiles
from .worker_state import Capabilities, Observer, WorkerState

IDLE_SECONDS = 0.2
"""How often a worker without claims asks the database whether any work is left."""
SIGNAL_SECONDS = 0.5
"""How often a waiting worker checks for a signal."""
STORE_PATIENCE = 30.0
"""Seconds for which a store may fail without a break before a worker that drains the queue gives up."""
GOODBYE_SECONDS = 3.0
"""How long a worker that ends waits for an unreachable database."""


class _Concern(Protocol):
    @property
    def name(self) -> str: ...

    def run(self) -> None: ...


class Worker:
    """One worker process. `start` it, then `drain` or `wait`, then `stop` it."""

    def __init__(
        self,
        procedures: Procedures,
        context: Context,
        abilities: Capabilities,
        *,
        observer: Observer | None = None,
        listen_conninfo: str | None = None,
        listen: bool = True,
        files: WorkerFiles | None = None,
    ) -> None:
        self.shared = WorkerState(procedures, context, abilities, observer or Observer(), files)
        self._builds = BuildLoop(self.shared) if "build" in abilities.verbs else None
        graph: list[_Concern] = [GraphLoop(self.shared, verb) for verb in abilities.verbs if verb != "build"]
        self._listener = Listener(self.shared, (listen_conninfo or procedures.conninfo) if listen else None)
        self._ticker = Ticker(self.shared)
        self._verbs: Sequence[_Concern] = [*graph, *([self._builds] if self._builds else [])]
        self._threads: list[threading.Thread] = []
        self._beating: list[threading.Thread] = []

    def _start(self, concern: _Concern, threads: list[threading.Thread]) -> None:
        thread = threading.Thread(target=self._run, args=[concern], name=concern.name)
        thread.start()
        threads.append(thread)

    def _run(self, concern: _Concern) -> None:
        try:
            concern.run()
        except BaseException as error:
            self.shared.fail(error)

    def start(self) -> None:
        """Register, and start all concerns. After an error or an interrupt, call `stop`: some of them may run.

        Raises OtherStoreError, psycopg.Error.
        """
        shared = self.shared
        _schedule_as_batch()
        if failpoints.armed:
            observers.append(lambda when, op: failpoints.reach(f"{when} {op.name}"))
        # Load connects to Nix first; no verb claims before the listener wakes it.
        for verb in self._verbs:
            self._start(verb, self._threads)
        shared.lease_seconds = shared.procedures.lease_seconds()
        shared.register()
        shared.bury_dead()
        self._start(Heartbeat(shared, self._builds), self._beating)
        for concern in (self._listener, self._ticker, StatusDumper(shared)):
            self._start(concern, self._threads)

    def drain(self, done: Callable[[], bool] | None = None) -> None:
        """Wait until this worker has no more work to do, until `done` returns true, or until the worker is stopped.

        Raises StoreError if the store stays unusable, psycopg.Error if the database does, and any error that ended the
        worker.
        """
        shared = self.shared
        self._ticker.first.result()
        while not shared.stopping.is_set():
            shared.emptied.clear()
            if done is not None and done():
                return
            if shared.idle and not shared.procedures.has_work(shared.worker):
                return
            trouble = shared.store_trouble
            if trouble is not None and time.monotonic() - trouble[0] > STORE_PATIENCE:
                raise StoreError(f"the store has failed for {STORE_PATIENCE:.0f} s: {trouble[1]}")
            shared.emptied.wait(IDLE_SECONDS)
        self._raise()

    def wait(self) -> None:
        """Wait until the worker is stopped. Raises the error that ended it, if any."""
        # Signals are handled in the main thread, and a signal that the kernel gives to another thread does not wake it.
        while not self.shared.stopping.wait(SIGNAL_SECONDS):
            pass
        self._raise()

    def _raise(self) -> None:
        if self.shared.error is not None:
            raise self.shared.error

    def stop(self, *, grace_seconds: float = 0.0) -> None:
        """End all concerns: running builds have `grace_seconds` to end, then they are aborted; claims are released.

        A second call does nothing.
        """
        shared = self.shared
        if shared.ended.is_set():
            return
        shared.stop()
        try:
            self._stop(grace_seconds)
        finally:
            shared.ended.set()
            for thread in self._beating:
                thread.join()

    def _stop(self, grace_seconds: float) -> None:
        shared = self.shared
        failpoints.reach("stop begins")
        self._listener.stop()
        shared.procedures.limit_retries(grace_seconds + GOODBYE_SECONDS)
        deadline = time.monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        while any(thread.is_alive() for thread in self._threads):
            if self._builds is not None:
                self._builds.abort()
            if time.monotonic() > deadline + GOODBYE_SECONDS:
                self._listener.disconnect_waiting()
                shared.procedures.disconnect_waiting(GOODBYE_SECONDS)
            for thread in self._threads:
                thread.join(0.2)
        failpoints.reach("stopped all concerns")
        try:
            if shared.worker:
                shared.procedures.deregister_worker(shared.worker)
            if shared.files is not None:
                shared.files.leave()
        except psycopg.Error as error:
            # The claims are taken back when another worker finds the file, or when heartbeats are missing.
            shared.observer.event("database_error", verb="stop", message=str(error))


def _schedule_as_batch() -> None:
    """Schedule this thread, and all threads and processes that it starts from now on, as batch work.

    Nix sends dozens of small messages about a build. Without batch scheduling, the thread that waits for a message
    interrupts Nix for each one, on the same processor while others idle. A policy that the user has set is kept.
    """
    with suppress(OSError, AttributeError):  # a sandbox may forbid it, another system may lack it
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
