"""Random damage: dice choose the next deed, and how long it lasts."""

from __future__ import annotations

import heapq
import itertools
import signal
import time
from collections.abc import Callable

from .fleet import Member, crash
from .jobset import DEPENDENCY_FAILED, FAILED
from .world import LEASE_SECONDS, World

LONGEST_PAUSE = 1.2
MOST_UNFINISHED = 60
"""While this many builds are unfinished, no evaluation is added."""


class Nemesis:
    """Does damage for a limited time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice = world.dice
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._coming_back: list[Member] = []
        self._deeds: dict[Callable[[], None], int] = {
            self._kill: 4,
            self._suspend: 5,
            self._crash: 2,
            self._silence: 2,
            self._cut: 2,
            self._stop: 1,
            self._delete: 6,
            self._withdraw: 2,
            self._cancel: 2,
            self._restart: 2,
            self._restart_failed: 3,
            self._clear: 1,
            self._prune: 1,
            self._erase: 1,
            self._collect: 1,
        }

    def rage(self, seconds: float) -> None:
        """Do damage for this many seconds, and leave everything as it is then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._evaluate()
            self._supervise()
            deeds, weights = zip(*self._deeds.items(), strict=True)
            self._dice.choices(deeds, weights)[0]()
            self._wait(self._dice.uniform(0, LONGEST_PAUSE))

    def _wait(self, seconds: float) -> None:
        """Wait, and do the deeds that become due."""
        deadline = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            if now >= deadline:
                return
            due = self._later[0][0] if self._later else deadline
            time.sleep(min(due, deadline) - now)

    def _after(self, seconds: float, deed: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), deed))

    def _victim(self) -> Member | None:
        """Return a running worker, if there is one."""
        running = [member for member in self._world.members if member.runs and not member.suspended]
        return self._dice.choice(running) if running else None

    def _supervise(self) -> None:
        """Restart each worker that has ended, after a while, and sometimes deaf."""
        for member in self._world.members:
            if member.runs or member in self._coming_back:
                continue
            deaf = self._dice.random() < 0.25
            self._world.figures["deaf workers"] += deaf
            self._world.figures["workers that gave up"] += (member.process and member.process.returncode) == 2
            self._coming_back.append(member)

            def come_back(member: Member = member, deaf: bool = deaf) -> None:
                self._coming_back.remove(member)
                member.start(deaf=deaf)

            self._after(self._dice.uniform(0, 2), come_back)

    # Workers

    def _kill(self) -> None:
        if (member := self._victim()) is not None:
            member.send(signal.SIGKILL)
            self._world.figures["kills"] += 1

    def _stop(self) -> None:
        if (member := self._victim()) is not None:
            member.send(signal.SIGTERM)
            self._world.figures["stops"] += 1

    def _suspend(self) -> None:
        if (member := self._victim()) is not None:
            process = member.process
            member.send(signal.SIGSTOP)
            self._world.figures["suspensions"] += 1

            def resume() -> None:
                if member.process is process:
                    member.send(signal.SIGCONT)

            self._after(LEASE_SECONDS * self._dice.uniform(1.1, 2.5), resume)

    # The database

    def _crash(self) -> None:
        world = self._world
        if not world.database_is_up:
            return
        crash(world.server)
        world.database_is_up = False
        world.figures["database crashes"] += 1

        def recover() -> None:
            world.server.start()
            world.database_is_up = True

        self._after(self._dice.choice([0, 0, 0.5, 2, LEASE_SECONDS * 1.5]), recover)

    def _silence(self) -> None:
        """End the sessions that listen: their workers hear nothing until they listen again."""
        rows = self._world.call(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = current_user and query ~ '^listen ' and pid <> pg_backend_pid()"
        )
        self._world.figures["silenced listeners"] += len(rows or [])

    def _cut(self) -> None:
        """End one session of any worker."""
        rows = self._world.call(
            "select pid from pg_stat_activity where usename = current_user and pid <> pg_backend_pid() order by 1"
        )
        if rows and self._world.call("select pg_terminate_backend(%s)", self._dice.choice(rows)[0]):
            self._world.figures["cut connections"] += 1

    # The store

    def _some_output(self) -> str | None:
        rows = self._world.call("select distinct path from resolver.output where valid_since is not null order by 1")
        return self._dice.choice(rows)[0] if rows else None

    def _delete(self) -> None:
        path = self._some_output()
        if path is None or not self._world.delete_output(f"{self._world.farm.store.store_dir}/{path}"):
            return
        self._world.figures["outputs deleted from the store"] += 1
        if self._dice.random() < 0.5:
            self._world.call("select resolver.invalidate_paths(array[%s])", path)

    def _withdraw(self) -> None:
        path = self._some_output()
        if path is not None and self._world.call("select resolver.invalidate_paths(array[%s])", path):
            self._world.figures["false alarms"] += 1

    def _collect(self) -> None:
        self._world.collect()
        self._world.figures["garbage collections"] += 1

    # Users

    def _some_build(self, finished: int, *statuses: int) -> tuple[int, str] | None:
        """Return a build that is finished or not, with one of the statuses, if any are given."""
        rows = self._world.call(
            "select b.id, j.name from Builds b join Jobsets j on j.id = b.jobset_id where b.finished = %s"
            " and (%s::integer[] = '{}' or b.buildStatus = any (%s)) order by 1",
            finished,
            [*statuses],
            [*statuses],
        )
        return self._dice.choice(rows) if rows else None

    def _cancel(self) -> None:
        if (build := self._some_build(0)) is not None:
            self._world.cancelled.add(build[0])
            if self._world.call("select resolver.cancel_build(%s)", build[0]):
                self._world.figures["cancelled builds"] += 1

    def _restart(self, *statuses: int) -> None:
        if (build := self._some_build(1, *statuses)) is not None and self._world.call(
            "select resolver.restart_build(%s)", build[0]
        ):
            self._world.figures["restarted builds"] += 1

    def _restart_failed(self) -> None:
        self._restart(FAILED, DEPENDENCY_FAILED)

    def _clear(self) -> None:
        if self._world.call("select resolver.clear_failures()"):
            self._world.figures["times that failures were cleared"] += 1

    def _prune(self) -> None:
        if self._world.prune():
            self._world.figures["prunes"] += 1

    def _erase(self) -> None:
        if (build := self._some_build(self._dice.choice([0, 1]))) is not None:
            self._world.erased[build[1]] += 1
            if self._world.call("delete from Builds where id = %s returning id", build[0]):
                self._world.figures["deleted builds"] += 1

    def _evaluate(self) -> None:
        world = self._world
        unfinished = world.call("select count(*) from Builds where finished = 0")
        if not world.evaluating and unfinished and unfinished[0][0] < MOST_UNFINISHED:
            world.evaluate()
