"""Measures the longest time for which a call holds the graph lock, for a package set and for graphs of extreme shapes.

Golden answers replace Nix. A hold lasts from taking the lock to the end of the call. The benchmark measures it in CPU
time of the one server process, which other processes do not change, and in wall time. No hold may take more than 100 ms
of CPU, whatever the graph.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import psycopg

from hydra_resolver.database.procedures import Procedures
from hydra_resolver.embedded.postgres import OWNER, EmbeddedPostgres
from tests.nix.graphs import Graph, NoData, read_graph
from tests.support.driving import Driver
from tests.support.invented import alone, base_name, fan, invented
from tests.support.temporary import create_database, create_installed_database, temporary_cluster

T = TypeVar("T")
WANTED = 100.0  # ms of CPU
METER = f"""
    grant pg_read_server_files to {OWNER};
    grant execute on function pg_read_file(text) to {OWNER};
    set role {OWNER};
    alter function resolver.lock_graph() rename to unmeasured_lock_graph;
    create function resolver.lock_graph() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
    declare
        v_cpu text;
    begin
        perform resolver.unmeasured_lock_graph();
        if current_setting('bench.transaction', true) is distinct from pg_current_xact_id()::text then
            v_cpu := split_part(pg_read_file('/proc/self/schedstat'), ' ', 1);
            perform set_config('bench.transaction', pg_current_xact_id()::text, false),
                    set_config('application_name', v_cpu || ' ' || extract(epoch from clock_timestamp()), false);
        end if;
    end
    $$;
"""
"""When a transaction takes the lock, the session's application_name gets the CPU time (ns) and the wall time (s)."""


class Hold(NamedTuple):
    """The milliseconds for which a call has held the lock."""

    cpu: float
    wall: float


class MeasuredDriver(Driver):
    """A driver that also measures how long each call holds the lock, if the call takes it."""

    def __init__(self, procedures: Procedures, graph: Graph, observer: psycopg.Connection) -> None:
        self.holds: dict[str, list[Hold]] = defaultdict(list)
        self._observer = observer
        self._locked = ""
        super().__init__(procedures, graph)

    def _timed(self, name: str, call: Callable[[], T]) -> T:
        result = super()._timed(name, call)
        now = time.time()
        row = self._observer.execute(
            "select pid, application_name from pg_stat_activity"
            " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
        ).fetchone()
        assert row is not None
        pid, locked = row
        if locked != self._locked:
            self._locked = locked
            cpu, at = locked.split()
            used = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
            self.holds[name].append(Hold((used - int(cpu)) / 1e6, (now - float(at)) * 1e3))
        return result

    # Actions of Hydra's programs and of users

    def cancel_in_hydra(self, builds: Sequence[int]) -> None:
        """Cancel builds as Hydra's web server does; the worker finds out in its next look at the builds."""
        self._execute(
            "update Builds set finished = 1, buildStatus = 4, startTime = 1, stopTime = 1 where id = any (%s)", builds
        )
        self._timed("sync_builds", lambda: self.procedures.sync_builds(all_builds=True))

    def restart(self, build: int) -> None:
        """Restart one build."""
        self._timed("restart_build", lambda: self.procedures.restart_build(build))

    def lose(self, path: str) -> None:
        """Withdraw a path, as if it had been deleted from the store."""
        self._timed("invalidate_paths", lambda: self.procedures.invalidate_paths([path]))

    def _execute(self, statement: str, *parameters: object) -> None:
        self._observer.execute(statement.encode(), parameters)


def exhausted(work: Callable[[], bool]) -> None:
    """Repeat the work until none is left."""
    while work():
        pass


def drive(driver: MeasuredDriver) -> None:
    """Enqueue the graph and work until the end."""
    driver.enqueue()
    driver.drive()


def load(driver: MeasuredDriver) -> list[int]:
    """Enqueue the graph and load all of it."""
    builds = driver.enqueue()
    exhausted(lambda: any([driver.tick(), driver.load()]))
    return builds


def cancel_one_of_two(driver: MeasuredDriver) -> None:
    """Cancel the build that owns every derivation."""
    first, *_ = load(driver)
    driver.cancel_in_hydra([first])
    exhausted(driver.tick)
    driver.drive()


def cancel_all(driver: MeasuredDriver) -> None:
    """Cancel all builds at once."""
    driver.cancel_in_hydra(load(driver))
    exhausted(driver.tick)
    driver.drive()


def fail_and_restart(driver: MeasuredDriver) -> None:
    """Let the leaf fail, and all builds with it; restart one build, which restarts the others."""
    driver.failing = {base_name("leaf.drv")}
    first, *_ = load(driver)
    driver.drive()
    driver.failing = set()
    driver.restart(first)
    driver.drive()


def lose_what_all_need(driver: MeasuredDriver) -> None:
    """Lose the leaf's output after all its dependents were resolved."""
    load(driver)
    driver.build()
    exhausted(lambda: any([driver.tick(), driver.resolve()]))
    driver.lose(base_name("leaf-out0"))
    driver.drive()


@dataclass(frozen=True)
class Shape:
    """A graph, and the work that is done with it."""

    title: str
    graph: Callable[[], Graph]
    work: Callable[[MeasuredDriver], object]


LEAVES = [f"leaf{n}" for n in range(50_000)]
JOBS = [f"job{n}" for n in range(6_288)]
MIDDLE = fan(5_000)["top"]
SHAPES = {
    "graph": Shape("a package set", lambda: read_graph("core-large"), drive),
    "fan-out": Shape("17,724 dependents of one leaf", lambda: invented(fan(17_724)), drive),
    "inputs": Shape(
        "50,000 inputs of each of two builds, of which one is cancelled",
        lambda: invented({**alone(LEAVES), "one": LEAVES, "two": LEAVES}),
        cancel_one_of_two,
    ),
    "outputs": Shape(
        "100 outputs, the most there may be, that 500 dependents need",
        lambda: invented({"many": [], **{f"user{n}": ["many"] for n in range(500)}}, outputs={"many": 100}),
        drive,
    ),
    "jobs": Shape("6,288 jobs in one call, which are cancelled", lambda: invented(alone(JOBS)), cancel_all),
    "failure": Shape(
        "6,000 builds that fail by one leaf, and are restarted",
        lambda: invented({"leaf": [], **{name: ["leaf"] for name in JOBS[:6_000]}}),
        fail_and_restart,
    ),
    "cut-off": Shape(
        "5,000 derivations that resolve to one",
        lambda: invented(fan(5_000), resolved_to=dict.fromkeys(MIDDLE, "same")),
        drive,
    ),
    "loss": Shape("a path that 5,000 derivations need is lost", lambda: invented(fan(5_000)), lose_what_all_need),
}


def main(words: Sequence[str]) -> int:
    """Run and print; return 1 if an invariant is broken or the lock is held for too long."""
    parser = argparse.ArgumentParser(prog="lock", description=__doc__)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"by default all: {', '.join(SHAPES)}")
    names = parser.parse_args(words).shapes or list(SHAPES)
    if unknown := sorted(set(names) - SHAPES.keys()):
        parser.error(f"there is no shape {', '.join(unknown)}; there are {', '.join(SHAPES)}")
    with temporary_cluster() as cluster:
        template = create_installed_database(cluster)
        with psycopg.connect(cluster.superuser_conninfo(template), autocommit=True) as connection:
            connection.execute(METER)
        passed = [run(SHAPES[name], cluster, template) for name in names]
    return 0 if all(passed) else 1


def run(shape: Shape, cluster: EmbeddedPostgres, template: str) -> bool:
    """Drive one graph through a database of its own; return whether the limit and all invariants held."""
    try:
        graph = shape.graph()
    except NoData as error:
        print(f"{shape.title}: {error}")
        return True
    name = create_database(cluster, template)
    procedures = Procedures(cluster.conninfo(name), connections=1)
    with psycopg.connect(cluster.superuser_conninfo(name), autocommit=True) as observer:
        driver = MeasuredDriver(procedures, graph, observer)
        began = time.perf_counter()
        shape.work(driver)
        seconds = time.perf_counter() - began
        procedures.close()
        builds = observer.execute("select count(*), count(*) filter (where finished = 1) from Builds").fetchone()
        broken = observer.execute("select * from resolver.invariant_violations()").fetchall()
    print(
        "{}: {} derivations, {} builds ({} finished) in {:.0f} s".format(
            shape.title, len(graph.texts), *builds, seconds
        )
    )
    for procedure, holds in sorted(driver.holds.items()):
        cpu, wall = ([getattr(hold, field) for hold in holds] for field in Hold._fields)
        print(f"  {procedure:22} {len(holds):6} holds, longest {max(cpu):6.1f} ms of CPU, {max(wall):6.1f} ms")
    longest = max(hold for holds in driver.holds.values() for hold in holds)
    print(f"  longest: {longest.cpu:.1f} ms of CPU (wanted: {WANTED:.0f}); broken invariants: {broken or 'none'}")
    sys.stdout.flush()
    return not broken and longest.cpu <= WANTED
