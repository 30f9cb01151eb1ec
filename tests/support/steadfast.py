"""One worker that outlives every failure: its builds, and the checks of their results."""

from __future__ import annotations

import itertools
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from hydra_resolver.embedded.postgres import EmbeddedPostgres

from .failing import Running, assert_sound
from .farm import Farm, open_server
from .proxy import Proxy
from .waiting import wait_for

LEASE_SECONDS = 6
FAILING = {"fails": 1, "on-fails": 2}

JOBS = """let
  step = name: inputs: floating "@salt@-${name}" "sleep 0.4; cat /dev/null $inputs > $out; echo ${name} >> $out" {
    inherit inputs;
  };
  length = name: input: floating "@salt@-length" "read x < $input; set -- $x; echo $# > $out" {
    input = floating "@salt@-words" "sleep 0.2; ${name}; echo a b > $out" { inherit input; };
  };
in rec {
  a = step "a" [ ];
  b = step "b" [ a ];
  c = step "c" [ a b ];
  d = step "d" [ c ];
  e = step "e" [ d ];
  other = step "other" [ ];
  on-other = step "on-other" [ other ];
  length-1 = length "true" "";
  length-2 = length ":" a;
  fails = floating "@salt@-fails" "sleep 0.4; exit 1" { };
  on-fails = step "on-fails" [ fails b ];
}"""


class World:
    """A farm with a server that can crash, and a worker that reaches the server through a proxy."""

    def __init__(self, farm: Farm, server: EmbeddedPostgres) -> None:
        self.farm = farm
        self.server = server
        self.proxy = Proxy(farm.conninfo)
        self._numbers = itertools.count(1)
        self._commands: list[Running] = []
        self.execute(f"update resolver.setting set lease_time = '{LEASE_SECONDS} seconds'")
        self.worker = self.start_worker(self.proxy.conninfo)

    def start_worker(self, database: str) -> Running:
        """Start another worker, which runs until it gets a signal."""
        log = self.farm.state / f"worker-{next(self._numbers)}"
        words = ["worker", "--json", "--jobs", "4", "--database", database]
        worker = Running(self.farm, *words, log=log)
        self._commands.append(worker)
        return worker

    def enqueue(self, jobs: str = JOBS) -> list[int]:
        """Enqueue builds of new derivations; return the builds."""
        name = f"set{next(self._numbers)}"
        file = self.farm.write(f"{name}.nix", jobs.replace("@salt@", name))
        done = self.farm.command("enqueue", file, "--database", self.farm.conninfo)
        assert done.returncode == 0, done.stderr
        return [int(number) for number in done.stdout.split()]

    def execute(self, statement: str, *, database: str | None = None) -> list[dict[str, Any]]:
        """Execute a statement as the superuser, whom the server always lets in."""
        with psycopg.connect(self._conninfo(database), autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def wait_for(self, query: str, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until a superuser's query has rows, or `unless` is true."""
        wait_for(self._conninfo(), query, unless=unless)

    def _conninfo(self, database: str | None = None) -> str:
        name = database or psycopg.conninfo.conninfo_to_dict(self.farm.conninfo)["dbname"]
        return self.server.superuser_conninfo(str(name))

    def finished(self, builds: Sequence[int]) -> bool:
        """Whether all builds have ended."""
        return bool(self.execute(_all_finished(builds)))

    def begun(self, builds: Sequence[int]) -> None:
        """Wait until a step of these builds has begun."""
        self.wait_for(f"select 1 from BuildSteps where build = any ('{{{_list(builds)}}}')")

    def all_is_well(self, builds: Sequence[int], expected: dict[str, int] | None = None) -> None:
        """Wait until the builds have ended; check that everything was done exactly once and the worker is healthy."""
        self.wait_for(_all_finished(builds), unless=lambda: self.worker.process.poll() is not None)
        assert self.worker.process.poll() is None, self.worker.output()
        rows = self.farm.rows("select job, buildStatus from Builds where id = any (%s)", list(builds))
        expected = FAILING if expected is None else expected
        assert {row["job"]: row["buildstatus"] for row in rows} == {
            row["job"]: expected.get(row["job"], 0) for row in rows
        }
        self.wait_for("select where not exists (select from resolver.lease where closed_at is null)")
        assert_sound(self.farm)
        for columns, table in (
            ("build, drvPath, status", "BuildSteps"),
            ("derivation, output, path, build, stepnr", "resolver.realisation"),
        ):
            assert self.farm.rows(f"select {columns} from {table} group by {columns} having count(*) > 1") == []
        assert self._successes() == dict.fromkeys(self._successes(), 1)
        assert self.farm.rows("select count from NrBuilds where what = 'finished'") == self.farm.rows(
            "select count(*)::integer as count from Builds where finished = 1"
        )
        assert self.farm.built_by_nix() == self.farm.built_by_rows()
        self.listens()

    def _successes(self) -> dict[str, int]:
        """Count the successful steps of each derivation."""
        rows = self.farm.rows("select drvPath from BuildSteps where type = 0 and status = 0")
        return Counter(row["drvpath"] for row in rows)

    def listens(self) -> None:
        """Wait until the worker listens."""
        self.wait_for(
            "select 1 from pg_stat_activity where query = 'listen worker_beat' and datname = current_database()"
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the worker's events of a kind."""
        lines = [line for line in self.worker.output().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def end(self) -> None:
        """Stop the worker with SIGTERM; it must exit with status 0."""
        self.worker.process.send_signal(signal.SIGTERM)
        assert self.worker.ends() == 0, self.worker.output()

    def close(self) -> None:
        """Kill all commands that still run."""
        for command in self._commands:
            command.process.kill()
            command.process.wait()
        self.proxy.close()


@contextmanager
def open_world(state: Path) -> Iterator[World]:
    """Open a world in a state directory."""
    with open_server(state) as server:
        farm = Farm(state, server.conninfo())
        farm.store.prepare()
        world = World(farm, server)
        try:
            yield world
        finally:
            world.close()
            server.start()


def _all_finished(builds: Sequence[int]) -> str:
    where = f"finished = 1 and id = any ('{{{_list(builds)}}}')"
    return f"select from Builds where {where} having count(*) = {len(builds)}"


def _list(builds: Sequence[int]) -> str:
    return ",".join(map(str, builds))
