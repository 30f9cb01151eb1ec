"""On its own machine, a dead worker is noticed at once, not only after the lease time."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hydra_resolver.database.procedures import Procedures
from hydra_resolver.loop import worker_files
from hydra_resolver.loop.worker_files import FORGOTTEN_SECONDS, WorkerFiles

from ..support.databases import execute
from ..support.farm import Farm, open_farm
from ..support.waiting import PATIENCE, wait_until
from ..worker.test_workers import start_worker

LONG = '{ long = floating "long" "echo $$ >> @file@; sleep 600" { }; }'
WITHIN = 20.0
"""Seconds within which work must go on: far fewer than the lease time, which is 60 s here."""


def enqueue_long(farm: Farm) -> Path:
    """Enqueue a build that takes longer than any test; whenever it begins, it adds a line to the returned file."""
    begun = farm.state / "begun"
    farm.command("enqueue", farm.write("long.nix", LONG.replace("@file@", str(begun))))
    return begun


def times(begun: Path) -> int:
    return len(begun.read_text().splitlines()) if begun.exists() else 0


def files(farm: Farm) -> list[Path]:
    return list((farm.state / "workers").iterdir())


def stop(*workers: object) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGTERM)  # type: ignore[attr-defined]
        assert worker.wait(30) == 0  # type: ignore[attr-defined]


def test_a_new_worker_takes_over_at_once_from_a_killed_worker_on_its_machine(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        assert farm.rows("select resolver.lease_time() = '60 s' as usual") == [{"usual": True}]
        begun = enqueue_long(farm)
        killed = start_worker(farm)
        wait_until(lambda: times(begun) == 1)
        assert len(files(farm)) == 1
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        heir = start_worker(farm)
        wait_until(lambda: times(begun) == 2, within=WITHIN)
        assert farm.rows("select outcome from resolver.lease where worker = 1 and verb = 'build'") == [
            {"outcome": "swept"}
        ]
        assert len(files(farm)) == 1
        stop(heir)
        assert files(farm) == []
        assert [step[:2] for step in farm.steps(1)] == [(0, 3)]
        assert farm.violations() == []


def test_a_running_worker_takes_over_at_once_from_a_killed_worker_and_spares_living_ones(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        begun = enqueue_long(farm)
        first = start_worker(farm, "--jobs", "1")
        wait_until(lambda: times(begun) == 1)
        second, third = start_worker(farm, "--jobs", "1"), start_worker(farm, "--jobs", "1")
        wait_until(lambda: len(files(farm)) == 3)
        os.kill(third.pid, signal.SIGSTOP)
        time.sleep(3)  # several ticks
        assert times(begun) == 1
        assert farm.rows("select 1 from resolver.worker where gone_at is not null") == []
        os.kill(third.pid, signal.SIGCONT)
        first.send_signal(signal.SIGKILL)
        first.wait()
        wait_until(lambda: times(begun) == 2, within=WITHIN)
        assert len(farm.rows("select 1 from resolver.worker where gone_at is not null")) == 1
        stop(second, third)
        assert farm.violations() == []


def test_a_living_worker_that_was_declared_dead_renames_its_file_to_its_new_number(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        worker = start_worker(farm)
        (row,) = farm.wait_for("select worker from resolver.worker")
        execute(farm.conninfo, "update resolver.worker set gone_at = resolver.clock()")
        farm.wait_for(f"select 1 from resolver.worker where worker <> {row['worker']}")
        (file,) = files(farm)
        wait_until(lambda: json.loads(file.read_text())["worker"] == row["worker"] + 1)
        stop(worker)


# The files of workers, and their consequences


class Register:
    """Replaces the database: records which workers are declared dead."""

    def __init__(self) -> None:
        self.dead: list[list[int]] = []

    def __call__(self, workers: Sequence[int]) -> int:
        self.dead.append(list(workers))
        return len(workers)


@pytest.fixture
def own(tmp_path: Path) -> WorkerFiles:
    own = WorkerFiles(tmp_path, "database")
    own.hold(7)
    return own


def abandon(directory: Path, worker: int, database: str = "database", boot: str | None = None) -> Path:
    """Leave the file of a dead process behind."""
    boot = worker_files.BOOT_ID.read_text().strip() if boot is None else boot
    path = directory / f"{worker}.json"
    path.write_text(json.dumps({"worker": worker, "database": database, "boot": boot}))
    return path


def test_workers_whose_files_are_not_locked_are_declared_dead(tmp_path: Path, own: WorkerFiles) -> None:
    abandon(tmp_path, 4), abandon(tmp_path, 5)
    register = Register()
    assert own.bury(register) == 2
    assert register.dead == [[4, 5]]
    assert own.bury(register) == 0
    assert register.dead == [[4, 5]]
    own.leave()
    assert list(tmp_path.iterdir()) == []


def test_files_of_dead_workers_stay_if_the_database_cannot_be_reached(tmp_path: Path, own: WorkerFiles) -> None:
    abandon(tmp_path, 4)

    def refuse(_: Sequence[int]) -> int:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        own.bury(refuse)
    assert own.bury(register := Register()) == 1
    assert register.dead == [[4]]


def test_a_living_process_is_not_declared_dead(tmp_path: Path, own: WorkerFiles) -> None:
    other = WorkerFiles(tmp_path, "database")
    other.hold(8)
    assert own.bury(Register()) == other.bury(Register()) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_process_that_is_still_writing_its_file_is_not_declared_dead(tmp_path: Path, own: WorkerFiles) -> None:
    (tmp_path / "9.json").touch()
    assert own.bury(Register()) == 0
    assert (tmp_path / "9.json").exists()


@pytest.mark.parametrize(("database", "boot"), [("another", None), ("database", "another")])
def test_files_of_another_database_or_boot_are_ignored_and_removed_in_the_end(
    tmp_path: Path, own: WorkerFiles, database: str, boot: str | None
) -> None:
    path = abandon(tmp_path, 4, database, boot)
    assert own.bury(Register()) == 0
    assert path.exists()
    long_ago = time.time() - FORGOTTEN_SECONDS - 60
    os.utime(path, (long_ago, long_ago))
    assert own.bury(Register()) == 0
    assert not path.exists()


def test_the_number_of_a_living_worker_is_not_declared_dead_because_of_an_old_file(
    tmp_path: Path, own: WorkerFiles
) -> None:
    other = WorkerFiles(tmp_path, "database")
    other.hold(8)
    abandon(tmp_path, 7), abandon(tmp_path, 8)
    assert own.bury(Register()) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_another_worker_is_about_to_bury_is_skipped(tmp_path: Path, own: WorkerFiles) -> None:
    path = abandon(tmp_path, 4)
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert own.bury(Register()) == 0
    assert own.bury(Register()) == 1


def test_each_installation_of_the_schema_has_its_own_identity(database: str) -> None:
    def identity() -> str:
        procedures = Procedures(database, connections=1)
        try:
            return procedures.database_identity()
        finally:
            procedures.close()

    before = identity()
    assert identity() == before
    execute(database, "alter schema resolver rename to old")
    execute(database, "create schema resolver")
    assert identity() != before


KILLS = '{ kills = floating "kills" "echo $$ >> @begun@; read worker < @pid@; kill -9 $worker; sleep 600" { }; }'


def test_a_builder_that_kills_its_worker_is_not_started_for_ever(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        begun, pid = farm.state / "begun", farm.state / "pid"
        os.mkfifo(pid)
        execute(farm.conninfo, "update resolver.setting set max_tries = 3, retry_delay = '1 s'")
        expression = KILLS.replace("@begun@", str(begun)).replace("@pid@", str(pid))
        farm.command("enqueue", farm.write("kills.nix", expression))
        for attempt in range(1, 4):
            worker = start_worker(farm, "--drain")
            pid.write_text(f"{worker.pid}\n")  # the builder reads it
            assert worker.wait(PATIENCE) == -signal.SIGKILL
            assert times(begun) == attempt
        last = start_worker(farm, "--drain")
        assert last.wait(PATIENCE) == 0, last.communicate()[0]
        assert times(begun) == 3
        assert farm.rows("select finished, buildStatus from Builds") == [{"finished": 1, "buildstatus": 3}]
        assert [step[:2] for step in farm.steps(1)] == [(0, 3)]
        assert farm.violations() == []
