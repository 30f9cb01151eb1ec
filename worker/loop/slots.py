"""Slots of the verb build: a thread and a connection to Nix each, which start when there is work for them."""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections.abc import Callable, Sequence

from ..database.procedures import Claim
from ..nix.client import Client
from .connection import RenewedClient
from .worker_state import WorkerState

SHORTAGE_SECONDS = 60.0
"""After a slot could not be started, no slot is added for this time."""
MOST_BEGINNING = 8
"""Connections to Nix that open at the same time: a worker that stops waits for them."""
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


class Slot:
    """One build at a time, over a connection of its own."""

    def __init__(self, shared: WorkerState) -> None:
        self.connection = RenewedClient(shared.context.store)
        self.claim: Claim | None = None


class SlotGivenUp(Exception):
    """The machine has no room for this slot; another slot does its work."""


class Slots:
    """Builds claims by a function; the worker's limit, the machine and the claims bound the builds at a time."""

    def __init__(self, shared: WorkerState, build: Callable[[Slot, Claim], None]) -> None:
        self._shared = shared
        self._build = build
        self._waiting: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._slots: dict[Slot, threading.Thread] = {}
        self._claims = 0
        """The number of claims that wait for a slot or have one."""
        self._short_until = 0.0
        self._ended = False
        self._lock = threading.Lock()
        self._beginning = threading.Semaphore(MOST_BEGINNING)

    @property
    def most(self) -> int:
        """The most builds at a time."""
        if time.monotonic() < self._short_until:
            return max(1, len(self._slots))
        return self._shared.abilities.jobs

    def all(self) -> list[Slot]:
        """Return the existing slots."""
        with self._lock:
            return list(self._slots)

    def add(self, claims: Sequence[Claim]) -> None:
        """Queue claims to be built; any thread may call it."""
        with self._lock:
            self._claims += len(claims)
        for claim in claims:
            self._waiting.put(claim)
        self.fill()

    def fill(self) -> None:
        """Start slots for claims that wait for one."""
        while not self._shared.stopping.is_set() and self._begin_one():
            pass

    def end(self) -> None:
        """Wait until all claims that a slot has are done."""
        with self._lock:
            self._ended = True
            threads = list(self._slots.values())
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join()

    def connect(self, slot: Slot) -> Client | None:
        """Return the slot's connection; `None` if the worker stops. Raises SlotGivenUp, and as `Store.connect` does."""
        with self._beginning:
            if self._shared.stopping.is_set():
                return None
            try:
                return slot.connection.get()
            except OSError as error:
                if error.errno in _SHORTAGES and self._give_up(slot, error):
                    raise SlotGivenUp from error
                raise

    def _begin_one(self) -> bool:
        slot = Slot(self._shared)
        thread = threading.Thread(target=self._run, args=[slot], name="build-slot")
        try:
            with self._lock:
                if self._ended or len(self._slots) >= min(self.most, self._claims):
                    return False
                thread.start()
                self._slots[slot] = thread
        except RuntimeError as error:
            self._tell_shortage(error)
            return False
        return True

    def _give_up(self, slot: Slot, error: OSError) -> bool:
        """Remove the slot, unless it is the last; return whether it was removed."""
        with self._lock:
            if len(self._slots) == 1:
                return False
            del self._slots[slot]
        self._tell_shortage(error)
        return True

    def _tell_shortage(self, error: Exception) -> None:
        told = time.monotonic() < self._short_until
        self._short_until = time.monotonic() + SHORTAGE_SECONDS
        if not told:
            jobs = self._shared.abilities.jobs
            message = (
                f"This machine has room for about {len(self._slots)} builds at a time, not for {jobs}: {error}."
                " Start the worker with fewer --jobs, or raise the limits of processes and open files."
            )
            self._shared.observer.event("note", message=message)

    def _run(self, slot: Slot) -> None:
        while (claim := self._waiting.get()) is not None:
            slot.claim = claim
            try:
                self._build(slot, claim)
            except SlotGivenUp:
                self._waiting.put(claim)
                break
            except BaseException as error:
                self._shared.fail(error)
            slot.claim = None
            with self._lock:
                self._claims -= 1
        slot.connection.close()
