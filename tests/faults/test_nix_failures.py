"""Nix fails in every way: a worker goes on as soon as it can, and every recorded output exists or is built again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.embedded.tools import nix_bin
from hydra_resolver.nix.protocol.operations import Op

from ..support.nix_wrapper import left, wrap
from ..support.restarting import TRUSTING, Place, RestartedFarm
from ..support.temporary import temporary_directory
from ..support.waiting import PATIENCE

OPERATIONS = (
    Op.ADD_TO_STORE,
    Op.ADD_TEMP_ROOT,
    Op.ADD_INDIRECT_ROOT,
    Op.SET_OPTIONS,
    Op.QUERY_PATH_INFO,
    Op.QUERY_VALID_PATHS,
    Op.QUERY_DERIVATION_OUTPUT_MAP,
    Op.BUILD_PATHS_WITH_RESULTS,
)
"""All operations that the verbs ask of Nix, without NarFromPath, which is only for remote stores."""


class Undisturbed:
    """A place, and the result of a worker without disturbance there."""

    def __init__(self, place: Place) -> None:
        self.place = place
        with place.farm() as farm:
            assert drains(farm) == 0, farm.output()
            self.result = farm.result()

    @contextmanager
    def disturbed(self) -> Iterator[RestartedFarm]:
        """Open a fresh farm; in the end its result must be the same."""
        with self.place.farm() as farm:
            yield farm
            found = farm.result()
            for name, expected in self.result.items():
                assert found[name] == expected, farm.output()


@pytest.fixture(scope="module")
def undisturbed(cluster: EmbeddedPostgres, database_template: str) -> Iterator[Undisturbed]:
    with temporary_directory() as directory:
        yield Undisturbed(Place(directory, cluster, database_template))


def worker(farm: RestartedFarm, *words: str, path: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a worker that drains the queue, with `path` before all other directories of its PATH."""
    variables: Mapping[str, str] = {}
    if path is not None:
        variables = {"PATH": os.pathsep.join([str(path), str(nix_bin()), os.environ.get("PATH", os.defpath)])}
    return farm.start("worker", "--drain", "--jobs", "2", *TRUSTING, *words, variables=variables)


def drains(farm: RestartedFarm, *words: str, path: Path | None = None) -> int:
    """Run a worker without back-offs until it has drained the queue; return its exit status."""
    running = worker(farm, *words, path=path)
    deadline = time.monotonic() + PATIENCE
    while (status := running.poll()) is None:
        assert time.monotonic() < deadline, farm.output()
        execute(farm, "update resolver.derivation_state set not_before = null where not_before is not null")
        time.sleep(0.2)
    return status


def execute(farm: RestartedFarm, statement: str, *parameters: Any) -> None:
    with psycopg.connect(farm.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters or None)


@pytest.mark.parametrize("moment", [pytest.param("asked", marks=pytest.mark.storm), "halfway", "done"])
def test_a_worker_survives_a_killed_nix_in_each_operation(
    undisturbed: Undisturbed, tmp_path: Path, moment: str
) -> None:
    path = wrap(tmp_path, Path(str(nix_bin())), dict.fromkeys(map(int, OPERATIONS), moment))
    with undisturbed.disturbed() as farm:
        assert drains(farm, path=path) == 0, farm.output()
        assert [Op(number).name for number in left(tmp_path)] == []
        assert farm.built_by_nix() >= farm.built_by_rows()


@contextmanager
def locked(farm: RestartedFarm) -> Iterator[None]:
    """Lock Nix's own database, as another program might."""
    with sqlite3.connect(farm.store.directory / "var" / "db" / "db.sqlite", isolation_level=None) as connection:
        connection.execute("pragma busy_timeout = 10000")
        connection.execute("begin exclusive")
        yield
        connection.execute("rollback")
    connection.close()


def test_a_worker_waits_for_a_store_that_is_locked_for_longer_than_the_lease_time(undisturbed: Undisturbed) -> None:
    with undisturbed.disturbed() as farm:
        running = worker(farm)
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
        with locked(farm):
            time.sleep(6)
            assert running.poll() is None
        assert running.wait(PATIENCE) == 0, farm.output()
        assert farm.rows("select 1 from resolver.lease where outcome = 'swept'") == []


def test_a_collector_that_runs_all_the_time_takes_nothing_that_a_worker_needs(undisturbed: Undisturbed) -> None:
    with undisturbed.disturbed() as farm:
        execute(farm, "update resolver.setting set lease_time = '10 minutes'")
        points = ("before set_resolved_to in resolve-reporter", "before finish_steps in build-reporter")
        running = farm.worker(point=",".join(f"{point}:{count}:stop" for point in points for count in (1, 3)))
        collections = 0
        while running.poll() is None:
            farm.nix("nix-store", "--gc")
            collections += 1
            running.send_signal(signal.SIGCONT)  # it stops at its points to give the collector time
        assert running.returncode == 0, farm.output()
        assert collections > 2
        assert "retrying" not in farm.output()


def test_unreported_results_of_a_killed_worker_are_safe_from_the_collector(undisturbed: Undisturbed) -> None:
    with undisturbed.disturbed() as farm:
        kept = set()
        for point in ("before set_resolved_to in resolve-reporter", "before finish_steps in build-reporter"):
            killed = farm.worker(point=f"{point}:2")
            assert killed.wait(PATIENCE) == -signal.SIGKILL, farm.output()
            farm.bury(killed)
            farm.wait_for_orphans()
            # Only roots that Nix knows: the worker may have died between making a link and registering it.
            own = StateDirectory(farm.state).roots
            roots = dict(line.split(" -> ") for line in farm.nix("nix-store", "--gc", "--print-roots").splitlines())
            rooted = [path for link, path in roots.items() if Path(link.strip('"')).parent == own]
            assert rooted
            farm.nix("nix-store", "--gc")
            farm.nix("nix-store", "--check-validity", *rooted)
            kept |= {Path(path).name for path in rooted}
        assert drains(farm) == 0, farm.output()
        assert {row["resolved"] for row in farm.result()["derivations"].values()} & kept
