"""A worker does not start beside Hydra's own queue runner, and the queue runner does not start beside a worker."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hydra_resolver.queue_runner_lock import QueueRunnerError, lock_out_queue_runner

HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def queue_runner(lock: Path) -> Iterator[None]:
    """Run a process that holds the lock as a queue runner does."""
    command = [sys.executable, "-c", HOLDER, lock]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate()


@pytest.fixture(params=["lock", "lock.lock"])
def lock(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The lock in Hydra's data directory, with the names that newer and older queue runners use."""
    (tmp_path / "queue-runner").mkdir()
    return tmp_path / "queue-runner" / str(request.param)


def worker(state: Path, database: str, hydra_data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hydra_resolver", "worker", "--drain", "--state", state, "--database", database],
        env=os.environ | {"HYDRA_DATA": str(hydra_data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_worker_does_not_start_while_the_queue_runner_runs(tmp_path: Path, database: str, lock: Path) -> None:
    with queue_runner(lock):
        done = worker(tmp_path / "state", database, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: Hydra's queue runner is running: it holds {lock}. Stop it first")
    done = worker(tmp_path / "state", database, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_queue_runner_does_not_start_while_workers_run(tmp_path: Path, lock: Path) -> None:
    with lock_out_queue_runner(tmp_path) as told, lock_out_queue_runner(tmp_path), lock.open("w") as file:
        assert told is None
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(QueueRunnerError), lock_out_queue_runner(tmp_path):
            pass


def test_no_lock_is_made_without_the_directory_of_a_queue_runner(tmp_path: Path) -> None:
    for directory in (None, tmp_path):
        with lock_out_queue_runner(directory) as told:
            assert told is None
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_opened_is_reported(tmp_path: Path, lock: Path) -> None:
    lock.symlink_to(lock)
    with lock_out_queue_runner(tmp_path) as told:
        assert told is not None
        assert str(lock) in told
