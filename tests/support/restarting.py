"""Farms whose workers are killed at a point: prepared once, and copied back for each test."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from hydra_resolver.database.install import sql_directory
from hydra_resolver.database.procedures import Procedures
from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.embedded.tools import nix_bin
from hydra_resolver.failpoints import LOG_VARIABLE, VARIABLE
from hydra_resolver.nix.protocol.operations import Op
from hydra_resolver.nix.store_path import StoreDir

from .farm import Farm
from .temporary import create_database, drop_database
from .waiting import PATIENCE, wait_until

EXPRESSION = Path(__file__).with_suffix(".nix")
PACKAGE = Path(__file__).parents[2] / "worker"

TRUSTING, ASKING = ("--trust-store",), ()
"""Options of workers: with the first they believe the store's record; without it they confirm known outputs."""


def calls_in_code() -> set[str]:
    """Return the points at which a worker could be killed, from the code: procedures, Nix operations, named points."""
    procedures = {path.stem for path in (sql_directory() / "functions").glob("*/*.sql")}
    called = {
        constant
        for method in vars(Procedures).values()
        if hasattr(method, "__code__")
        for constant in method.__code__.co_consts
        if constant in procedures
    }
    operations = {
        op.name for op in Op if any(f"Op.{op.name}" in file.read_text() for file in PACKAGE.rglob("nix/**/*.py"))
    }
    points = {
        node.args[0].value
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "failpoints.reach"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
    return {f"{when} {call}" for when in ("before", "after") for call in called | operations} | points


def call_of(point: str) -> str:
    """Return a point without the thread that reaches it."""
    return point.rpartition(" in ")[0]


class Place:
    """A directory with a store and a state directory, and a database, from which each farm starts."""

    def __init__(self, directory: Path, cluster: EmbeddedPostgres, installed: str) -> None:
        self.state = directory / "state"
        self._copy = directory / "copy"
        self._cluster = cluster
        self._template = create_database(cluster, installed)
        farm = RestartedFarm(self.state, cluster.conninfo(self._template))
        farm.store.prepare()
        farm.prepare()
        farm.wait_for_orphans()
        self.state.rename(self._copy)

    @contextmanager
    def farm(self) -> Iterator[RestartedFarm]:
        """Copy everything back and open a fresh farm."""
        shutil.copytree(self._copy, self.state, symlinks=True, ignore=shutil.ignore_patterns("socket"))
        database = create_database(self._cluster, self._template)
        farm = RestartedFarm(self.state, self._cluster.conninfo(database))
        try:
            yield farm
        finally:
            farm.end()
            drop_database(self._cluster, database)
            shutil.rmtree(self.state)


class RestartedFarm(Farm):
    """Workers on one place. They treat the store as a user's own, so they register their roots with Nix."""

    def __init__(self, state: Path, conninfo: str) -> None:
        super().__init__(state, conninfo)
        self._processes: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Enqueue builds, some with lost inputs, and leave an unneeded root and half an output behind."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute("update resolver.setting set lease_time = '5 seconds'")
        assert self.start("enqueue", str(EXPRESSION), "-A", "before").wait(PATIENCE) == 0, self.output()
        assert self.worker().wait(PATIENCE) == 0, self.output()
        assert self.rows("select count(*) from Builds where buildStatus = 0") == [{"count": 2}], self.output()
        gone = [row["path"] for row in self.rows("select path from BuildOutputs")]
        for root in StateDirectory(self.state).roots.iterdir():
            root.unlink()
        self.nix("nix-store", "--delete", *gone)
        (StateDirectory(self.state).roots / "unneeded").symlink_to("nowhere")
        os.utime(StateDirectory(self.state).roots / "unneeded", (0, 0), follow_symlinks=False)
        assert self.start("enqueue", str(EXPRESSION), "-A", "jobs").wait(PATIENCE) == 0, self.output()
        (job,) = self.rows("select drvPath from Builds where job = 'jobs.outputs'")
        left = StoreDir(str(self.store.store_dir)).unfinished_output_path(Path(job["drvpath"]).name, "dev") + ".tmp"
        (self.store.store_dir / left).write_text("half of an output")

    def start(self, verb: str, *words: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command on this farm; its output goes to a file."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRA_", "PG"))}
        environment = self.store.child_environment(environment) | {
            "PATH": f"{nix_bin()}{os.pathsep}{environment.get('PATH', os.defpath)}",
            "PYTHONFAULTHANDLER": "1",
            **(variables or {}),
        }
        command = [sys.executable, "-m", "hydra_resolver", verb, "--state", str(self.state), "--store", "local"]
        with (self.state / f"output-{len(self._processes)}").open("wb") as output:
            process = subprocess.Popen(
                [*command, "--database", self.conninfo, *words],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self._processes.append(process)
        return process

    def worker(
        self, options: Sequence[str] = TRUSTING, *, point: str = "", log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker that drains the queue, or is killed at the point."""
        variables = {VARIABLE: point} if point else {}
        if log is not None:
            variables[LOG_VARIABLE] = str(log)
        return self.start("worker", "--drain", "--jobs", "2", *options, variables=variables)

    def bury(self, worker: subprocess.Popen[bytes]) -> None:
        """Let the lease time of a killed worker pass."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(
                "update resolver.worker set heartbeat = heartbeat - interval '1 hour' where name like %s",
                [f"%:{worker.pid}"],
            )

    def output(self) -> str:
        """Return the output of all commands."""
        files = [self.state / f"output-{number}" for number in range(len(self._processes))]
        return "\n".join(f"-- {file.name}\n{file.read_text(errors='replace')}" for file in files)

    def autopsy(self) -> str:
        """Return what helps with a farm that does not end: the stacks of all threads, open claims, unfinished work."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGABRT)
                process.wait()
        claims = self.rows("select * from resolver.lease where closed_at is null")
        unfinished = self.rows("select * from resolver.derivation_state where stage not in ('realised', 'failed')")
        return "\n".join([self.output(), "-- open claims", *map(str, claims), "-- unfinished", *map(str, unfinished)])

    def end(self) -> None:
        """Kill all commands that still run."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.wait_for_orphans()

    def wait_for_orphans(self) -> None:
        """Wait for the Nix processes of killed workers: they write to the store until they notice."""
        mark = f"NIX_STORE_DIR={self.store.store_dir}".encode()
        wait_until(lambda: not any(mark in environment.split(b"\0") for environment in _environments()))

    def result(self) -> dict[str, Any]:
        """Return the state that must be the same however often workers were killed."""
        builds = self.rows(
            "select b.id, b.job, b.finished, b.buildStatus as status, b.isCachedBuild as cached,"
            " (select jsonb_object_agg(o.name, o.path) from BuildOutputs o where o.build = b.id) as outputs,"
            " coalesce(r.drv, d.drv) as root"
            " from Builds b join resolver.goal g on g.build = b.id join resolver.derivation d on d.derivation = g.root"
            " left join resolver.resolution n on n.derivation = g.root and n.released_at is null"
            " left join resolver.derivation r on r.derivation = n.resolved"
        )
        cached: Counter[str] = Counter()
        for build in builds:
            cached[build["root"]] += build["cached"]
        derivations = self.rows(
            "select d.drv, s.stage, r.drv as resolved, f.drv as failed_dependency,"
            " (select jsonb_object_agg(o.name, jsonb_build_array(o.path, o.valid_since is not null))"
            "    from resolver.output o where o.derivation = d.derivation) as outputs"
            " from resolver.derivation d join resolver.derivation_state s on s.derivation = d.derivation"
            " left join resolver.resolution n on n.derivation = d.derivation and n.released_at is null"
            " left join resolver.derivation r on r.derivation = n.resolved"
            " left join resolver.derivation f on f.derivation = s.failed_dependency"
        )
        resolved = {row["resolved"] for row in derivations if row["resolved"]}
        successes = Counter(
            row["drvpath"].rpartition("/")[2]
            for row in self.rows("select drvPath from BuildSteps where type = 0 and status = 0")
        )
        return {
            "builds": {row["job"]: (row["finished"], row["status"], row["outputs"]) for row in builds},
            "cached": dict(cached),
            "derivations": {row.pop("drv"): row for row in derivations},
            "successful rows": {drv: successes[drv] for drv in resolved},
            "counter": self.rows("select count from NrBuilds where what = 'finished'"),
            "busy rows": self.rows("select * from BuildSteps where busy <> 0"),
            "second rows": self.rows(
                "select build, drvPath, status from BuildSteps where status <> 3 group by 1, 2, 3 having count(*) > 1"
            ),
            "open leases": self.rows("select * from resolver.lease where closed_at is null"),
            "violations": self.violations(),
        }


def _environments() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "environ").read_bytes()
        except OSError:
            continue
