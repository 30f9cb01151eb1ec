"""Load and resolve: one thread claims and asks Nix, another thread reports the results so far."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress

import psycopg

from ..database.errors import WorkerGoneError, is_transient
from ..database.procedures import Claim, Verb
from ..nix.errors import StoreError
from ..verbs.load import Report, load
from ..verbs.resolve import resolve
from .claims import Claims
from .connection import RenewedClient
from .graph_reports import GraphReports
from .unexpected import OF_ALL_CLAIMS, failed_report, tell_unexpected
from .worker_state import PAUSE_SECONDS, POLL_SECONDS, WorkerState

BATCH = 50
"""Claims in one batch: enough to keep Nix busy, few enough to hold the graph lock briefly."""
UNREPORTED = 8
"""Parts of batches that may wait to be reported; then the verb pauses."""


class GraphLoop:
    """Does one of the verbs load and resolve until the worker stops."""

    def __init__(self, shared: WorkerState, verb: Verb) -> None:
        self.name = verb
        self._shared = shared
        self._verb = verb
        self._connection = RenewedClient(shared.context.store)
        self._done: queue.Queue[list[Report] | None] = queue.Queue(UNREPORTED)
        self._held: dict[int, Claim] = {}
        """Claims by lease, until they are reported or released."""
        self._reported = GraphReports(shared, verb, self._held, self._withdraw)
        self._more = False
        """Whether the last claim left work behind."""
        self._claimed: queue.SimpleQueue[Claim] = queue.SimpleQueue()
        self._claims = shared.claims[verb] = Claims(shared.procedures, verb, self)

    def run(self) -> None:
        """Claim and work; sleep if there is nothing to claim."""
        shared = self._shared
        wake = shared.wake[self._verb]
        reporter = threading.Thread(target=self._run_reporter, name=f"{self._verb}-reporter")
        reporter.start()
        try:
            shared.let_load_begin(self._verb)
            with suppress(StoreError, OSError):  # the first claim reports the error
                self._connection.get()
            wake.wait(POLL_SECONDS)
            while not shared.stopping.is_set():
                wake.clear()
                if not self._one_round():
                    wake.wait(POLL_SECONDS)
        finally:
            self._done.put(None)
            reporter.join()
            self._connection.close()

    def room(self) -> int:
        """Return the number of claims that are welcome now: none if some have not been started yet."""
        if self._shared.stopping.is_set() or not self._claimed.empty():
            return 0
        return max(0, BATCH - len(self._held))

    def take(self, claims: Sequence[Claim], room: int) -> None:
        """Hold claims, perhaps made by another thread."""
        self._more = len(claims) == room
        self._shared.add_claims(len(claims))
        self._held.update({claim.lease: claim for claim in claims})
        for claim in claims:
            self._claimed.put(claim)
        if claims:
            self._shared.wake[self._verb].set()

    def held(self) -> list[int]:
        """Return the leases of claims that are not reported yet."""
        return list(self._held)

    def _one_round(self) -> bool:
        """Claim and work once; return whether there may be more work at once."""
        shared = self._shared
        try:
            if self._claimed.empty():
                self._claims.make(shared.worker)
        except WorkerGoneError:
            return False  # the heartbeat registers the worker again
        except psycopg.Error as error:
            self._answer_lost(error)
            shared.stopping.wait(PAUSE_SECONDS)
            return False
        claims = [self._claimed.get() for _ in range(self._claimed.qsize())]
        if not claims:
            return False
        self._do(claims)
        if self._verb == "load":
            self._done.join()  # else derivations that were read ahead are claimed, too
        # Loaded derivations make more work for load; resolved ones make none for resolve.
        return self._verb == "load" or self._more

    def _do(self, claims: Sequence[Claim]) -> None:
        """Hand over reports as they come. If the store or the database fails, release the claims that are left."""
        shared = self._shared
        left = {claim.lease: claim for claim in claims}
        try:
            try:
                self._hand_over(claims, left)
            except OF_ALL_CLAIMS:
                raise
            except Exception as error:
                self._do_each(left, len(claims), error)
            shared.store_trouble = None
        except (StoreError, OSError) as error:
            self._give_back(left, str(error))
            shared.store_failed(self._verb, error)
        except psycopg.Error as error:
            self._database_failed(error, left)
        finally:
            self._forget(left)

    def _hand_over(self, claims: Sequence[Claim], left: dict[int, Claim]) -> None:
        for reports in self._reports(claims):
            for report in reports:
                left.pop(report["lease"], None)
            self._done.put(reports)

    def _do_each(self, left: dict[int, Claim], claimed: int, error: Exception) -> None:
        """After an error that may concern one claim, work on each remaining claim alone, so that only that one fails.

        Raises StoreError if every claim fails by one: then the store is at fault.
        """
        failed: list[tuple[Claim, Exception]] = []
        if len(left) == 1:
            failed = [(claim, error) for claim in left.values()]
        for claim in [] if failed else list(left.values()):
            try:
                self._hand_over([claim], left)
            except OF_ALL_CLAIMS:
                raise
            except Exception as its_own:
                if claim.lease in left:  # else it was reported, and a derivation read ahead is at fault
                    failed.append((claim, its_own))
        if len(failed) == claimed and all(isinstance(own, StoreError) for _, own in failed):
            raise failed[-1][1]
        if not failed:  # the claims fail only together
            tell_unexpected(self._shared.observer, self._verb, None, error)
        for claim, own in failed:
            tell_unexpected(self._shared.observer, self._verb, claim.drv, own)
            left.pop(claim.lease, None)
            self._done.put([failed_report(claim.lease, claim.drv, own)])

    def _reports(self, claims: Sequence[Claim]) -> Iterator[list[Report]]:
        context, client = self._shared.context, self._connection.get()
        if self._verb == "load":
            return load(context, client, claims, self._withdraw)
        return resolve(context, client, claims, self._known_outputs, self._withdraw)

    def _known_outputs(self, drvs: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Return recorded outputs, as long as lookups hit: usually none do, and a report finds the first hit."""
        known = self._shared.procedures.known_outputs(drvs) if self._reported.hits else {}
        self._reported.hits = bool(known)
        return known

    def _withdraw(self, paths: Iterable[str]) -> int:
        return self._shared.procedures.invalidate_paths(list(paths))

    def _give_back(self, leases: Collection[int], reason: str) -> None:
        try:
            self._shared.procedures.release_claims(self._shared.worker, list(leases), reason)
        except psycopg.Error as error:
            self._answer_lost(error, leases)

    def _forget(self, leases: Iterable[int]) -> None:
        self._shared.add_claims(-sum(self._held.pop(lease, None) is not None for lease in leases))

    def _database_failed(self, error: psycopg.Error, leases: Collection[int]) -> None:
        """Handle an error of a report. If it is permanent, release and pause: an immediate retry would fail, too."""
        if is_transient(error):
            self._answer_lost(error, leases)
            return
        self._shared.observer.event("database_error", verb=self._verb, message=str(error))
        self._give_back(leases, str(error))
        self._shared.stopping.wait(PAUSE_SECONDS)

    def _answer_lost(self, error: psycopg.Error, leases: Iterable[int] = ()) -> None:
        self._forget(leases)  # before the next claim looks for lost claims
        self._claims.some_may_be_lost()
        self._shared.observer.event("database_error", verb=self._verb, message=str(error))

    def _run_reporter(self) -> None:
        with closing(RenewedClient(self._shared.context.store)) as connection:
            parts: list[list[Report] | None] = []
            while None not in parts:
                parts = [self._done.get()]
                while not self._done.empty():
                    parts.append(self._done.get())
                done = [part for part in parts if part is not None]
                leases = [report["lease"] for part in done for report in part]
                try:
                    self._report(done, leases, connection)
                except Exception as error:
                    self._shared.fail(error)
                finally:
                    self._forget(leases)
                    if self._more:
                        self._shared.wake[self._verb].set()
                    for _ in parts:
                        self._done.task_done()

    def _report(self, parts: Sequence[Sequence[Report]], leases: Collection[int], connection: RenewedClient) -> None:
        try:
            self._reported.send(parts, connection)
        except psycopg.Error as error:
            self._database_failed(error, leases)
        except (StoreError, OSError) as error:
            self._give_back(leases, str(error))
            self._shared.store_failed(self._verb, error)
