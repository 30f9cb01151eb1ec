"""State that the concerns of a worker share: its identity, the events that wake and stop it, its observer."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ..database.procedures import VERBS, Answer, OnlyKind, Procedures, ReportOf, Verb
from ..nix.builders import RemoteBuilder
from ..verbs.context import Context
from .claims import Claims
from .worker_files import WorkerFiles

POLL_SECONDS = 5.0
"""Notifications are hints: without any, the worker looks for work this often."""
PAUSE_SECONDS = 0.5
"""After an error of the database, a verb waits for this time before it claims again."""
MARGIN = 0.8
"""Part of the lease time after which, without an acknowledged heartbeat, the worker ends its own builds."""


class Observer:
    """Receives the events of a worker; override the methods of interest. Called from any thread."""

    def event(self, kind: str, **details: Any) -> None:
        """Handle an event; `kind` names it in one word."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The work that a worker does, and its limits.

    `systems`, `features`: of its own machine; `feature_limits`: how many builds that require a feature at a time.
    """

    name: str
    verbs: tuple[Verb, ...]
    systems: tuple[str, ...]
    features: tuple[str, ...]
    jobs: int
    store_identity: str
    builders: tuple[RemoteBuilder, ...] = ()
    feature_limits: Mapping[str, int] = field(default_factory=dict)
    only_kind: OnlyKind | None = None


@dataclass(slots=True)
class WorkerState:
    """The shared state of one worker process."""

    procedures: Procedures
    context: Context
    abilities: Capabilities
    observer: Observer
    files: WorkerFiles | None = None
    """Files by which other workers on this machine notice that this worker has died."""
    worker: int = 0
    lease_seconds: float = 0.0
    acknowledged: float = 0.0
    """The time at which the last acknowledged heartbeat was sent (monotonic)."""
    beats: int = 0
    """The number of acknowledged heartbeats; each is notified on `worker_beat`."""
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    wake: dict[Verb, threading.Event] = field(default_factory=lambda: {verb: threading.Event() for verb in VERBS})
    claims: dict[Verb, Claims] = field(default_factory=dict)
    """The claims of each verb that this worker does."""
    emptied: threading.Event = field(default_factory=threading.Event)
    """Set when no claim is in hand any more."""
    ticks_asked: threading.Event = field(default_factory=threading.Event)
    """Set when there is work for the next tick."""
    builds_changed: threading.Event = field(default_factory=threading.Event)
    """Set when known builds may have changed: all of them have to be checked."""
    status_asked: threading.Event = field(default_factory=threading.Event)
    """Set when one of Hydra's programs asks for the status of the queue."""
    error: BaseException | None = None
    """The error that ended the worker, if any."""
    store_trouble: tuple[float, str] | None = None
    """The time since which the store fails (monotonic), and its last message; `None` while it works."""
    _in_hand: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def register(self) -> None:
        """Register the worker in the database, for the first time or after it was declared dead."""
        sent = time.monotonic()
        self.worker = self.procedures.register_worker(
            name=self.abilities.name,
            verbs=self.abilities.verbs,
            systems=self.abilities.systems,
            features=self.abilities.features,
            store_directory=self.context.store.store_dir.path,
            store_identity=self.abilities.store_identity,
            jobs=self.abilities.jobs,
            builders=[
                {"machine": b.uri, "systems": b.systems, "features": b.features, "mandatory": b.mandatory_features}
                for b in self.abilities.builders
            ],
            feature_limits=self.abilities.feature_limits,
            only_kind=self.abilities.only_kind,
        )
        self.acknowledged = sent
        if self.files is not None:
            try:
                self.files.hold(self.worker)
            except OSError as error:
                self.files = None
                message = f"If this worker dies, its claims are taken back after the lease time only: {error}"
                self.observer.event("note", message=message)

    def bury_dead(self) -> None:
        """Take back the claims of workers on this machine whose process has died."""
        if self.files is None:
            return
        try:
            if claims := self.files.bury(self.procedures.report_dead_workers):
                self.observer.event("swept", claims=claims)
        except (psycopg.Error, OSError) as error:  # the next tick tries again; claims end with the lease time anyway
            self.observer.event("database_error", verb="tick", message=str(error))

    @property
    def patience_seconds(self) -> float:
        """How long after an acknowledged heartbeat no other worker can get the claims of this one, with a margin."""
        return MARGIN * self.lease_seconds

    @property
    def overdue(self) -> bool:
        """Whether other workers may soon get the claims of this one: this worker must not build."""
        return time.monotonic() > self.acknowledged + self.patience_seconds

    def let_load_begin(self, verb: Verb) -> None:
        """Wait for the first wake if the worker loads as well: load gets the machine for itself at first."""
        if verb != "load" and "load" in self.abilities.verbs:
            self.wake[verb].wait(POLL_SECONDS)

    def wake_all(self) -> None:
        """Make every verb look for work."""
        for event in self.wake.values():
            event.set()

    def stop(self) -> None:
        """Make every concern end."""
        self.stopping.set()
        self.emptied.set()
        self.ticks_asked.set()
        self.status_asked.set()
        self.wake_all()

    def fail(self, error: BaseException) -> None:
        """Make every concern end, after an error that one of them can't handle."""
        self.error = self.error or error
        self.stop()

    def store_failed(self, verb: Verb, error: Exception) -> None:
        """Report that the store failed, and wait a moment before the next attempt."""
        since = self.store_trouble[0] if self.store_trouble else time.monotonic()
        self.store_trouble = since, str(error)
        self.observer.event("store_error", verb=verb, message=str(error))
        self.stopping.wait(1.0)

    def report(self, procedure: ReportOf, reports: Sequence[Mapping[str, Any]], then: Verb) -> list[Answer]:
        """Report, and claim the work that this makes ready for another verb, if this worker does that verb."""
        claims = self.claims.get(then)
        answers = claims.make_with_report(self.worker, procedure, reports) if claims else None
        if answers is None:
            answers = self.procedures.report(procedure, reports)
            self.wake[then].set()  # the report probably made work for it; this is faster than a notification
        return answers

    def add_claims(self, claims: int) -> None:
        """Count claims in hand; a negative number when they were reported."""
        with self._lock:
            self._in_hand += claims
        if self.idle:
            self.emptied.set()

    @property
    def idle(self) -> bool:
        """Whether no claim is in hand."""
        return self._in_hand == 0
