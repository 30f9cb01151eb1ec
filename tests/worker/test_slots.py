"""Slots for builds are made on demand, and no more of them than the machine can run."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hydra_resolver.cli.target import Options, open_store
from hydra_resolver.cli.work import running_worker
from hydra_resolver.loop import slots
from hydra_resolver.loop.worker_state import Observer
from hydra_resolver.nix.client import Client
from hydra_resolver.nix.store import Store
from hydra_resolver.setting_kinds import MOST_JOBS

from ..support.failing import assert_sound, could_not_run, running
from ..support.farm import Farm, open_farm
from ..support.waiting import wait_until

MANY = """builtins.listToAttrs (builtins.genList (number: rec {
  name = "@salt@-${toString number}"; value = floating name "sleep @seconds@; echo > $out" { };
}) @number@)"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("slots")) as farm:
        yield farm


def enqueue(farm: Farm, salt: str, number: int, seconds: float = 0.0) -> None:
    """Enqueue builds that take this many seconds each."""
    text = MANY.replace("@salt@", salt).replace("@number@", str(number)).replace("@seconds@", str(seconds))
    farm.command("enqueue", farm.write(f"{salt}.nix", text))


def cancel_all(farm: Farm) -> None:
    """Cancel all unfinished builds."""
    with psycopg.connect(farm.conninfo, autocommit=True) as connection:
        connection.execute("select resolver.cancel_build(id) from Builds where finished = 0")


def all_built(farm: Farm, salt: str, number: int) -> bool:
    rows = farm.rows("select 1 from Builds where job like %s and buildStatus = 0 and finished = 1", f"{salt}-%")
    return len(rows) == number


def connections(process: int) -> int:
    """Count the Nix processes that serve a worker."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    names = [Path(f"/proc/{child}/comm").read_text() for file in children for child in file.read_text().split()]
    return sum(name.startswith("nix-daemon") for name in names)


class Told(Observer):
    """Records a worker's events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, kind: str, **details: Any) -> None:
        self.events.append((kind, details))

    def of(self, kind: str) -> list[str]:
        return [details["message"] for told, details in self.events if told == kind]


def drain(farm: Farm, jobs: int) -> Told:
    """Run a worker until the queue is drained; return its events."""
    told = Told()
    options = Options(None, None, farm.state)
    with running_worker(options, farm.conninfo, open_store(options), jobs=jobs, observer=told) as worker:
        worker.drain()
    assert_sound(farm)
    return told


def test_a_worker_has_no_more_slots_than_builds_and_stops_at_once(farm: Farm) -> None:
    enqueue(farm, "few", 3, seconds=600.0)
    with running(farm, "worker", "--jobs", str(MOST_JOBS)) as worker:
        farm.wait_for("select 1 from BuildSteps where busy <> 0 having count(*) = 3")
        worker.says("few-2")
        assert connections(worker.process.pid) <= 3 + 4, "three slots, and two connections each for load and resolve"
        worker.process.terminate()
        assert worker.ends() == 0
    assert_sound(farm)
    cancel_all(farm)


def test_a_worker_can_be_stopped_while_its_slots_begin(farm: Farm) -> None:
    enqueue(farm, "begin", 200, seconds=600.0)
    with running(farm, "worker", "--jobs", "200") as worker:
        worker.says("building")
        worker.process.terminate()
        assert worker.ends() == 0
    assert_sound(farm)
    cancel_all(farm)


@pytest.mark.parametrize("words", [("--jobs", "1001"), ("--jobs", "0")])
def test_a_senseless_number_of_slots_is_refused(farm: Farm, words: tuple[str, ...]) -> None:
    assert "1<=x<=1000" in could_not_run(farm, "worker", *words)


def test_a_worker_with_few_descriptors_has_fewer_slots(farm: Farm) -> None:
    enqueue(farm, "descriptors", 30, seconds=0.5)
    words = [sys.executable, "-m", "hydra_resolver", "worker", "--drain", "--jobs", "500", "--state", str(farm.state)]
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 150; exec {shlex.join(words)}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "A process may have 150 open files here: enough for 8 builds at a time, not for 500" in done.stderr
    assert all_built(farm, "descriptors", 30)
    assert_sound(farm)


def test_a_worker_raises_its_soft_limit_of_descriptors(farm: Farm) -> None:
    words = [sys.executable, "-m", "hydra_resolver", "worker", "--drain", "--jobs", "100", "--state", str(farm.state)]
    limits = "ulimit -S -n 150; ulimit -H -n 5000"
    done = subprocess.run(
        ["sh", "-c", f"{limits}; exec {shlex.join(words)}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def is_slot() -> bool:
    return threading.current_thread().name == "build-slot"


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM], ids=lambda error: errno.errorcode[error])
def test_a_slot_without_a_nix_process_is_given_up(farm: Farm, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    real = Store.connect
    first: list[threading.Thread] = []

    def connect(self: Store) -> Client:
        if is_slot() and threading.current_thread() is not (first or [threading.current_thread()])[0]:
            raise OSError(error, os.strerror(error))
        if is_slot() and not first:
            first.append(threading.current_thread())
        return real(self)

    monkeypatch.setattr(Store, "connect", connect)
    enqueue(farm, errno.errorcode[error], 10, seconds=0.2)
    told = drain(farm, 4)
    assert all_built(farm, errno.errorcode[error], 10)
    (note,) = told.of("note")
    assert "builds at a time, not for 4: " in note
    assert os.strerror(error) in note
    assert told.of("released") == told.of("store_error") == []


def fails_for_slots(monkeypatch: pytest.MonkeyPatch, fails: Callable[[], bool]) -> None:
    """Let no thread for a slot start while `fails` is true."""
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if self.name == "build-slot" and fails():
            raise RuntimeError("can't start new thread")
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start)


def test_a_worker_does_without_threads_that_cannot_be_started(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bool] = []
    fails_for_slots(monkeypatch, lambda: bool(started) or bool(started.append(True)))
    enqueue(farm, "threads", 10)
    told = drain(farm, 4)
    assert all_built(farm, "threads", 10)
    assert any("can't start new thread" in note for note in told.of("note"))


def test_a_worker_without_any_slot_waits_for_one(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SHORTAGE_SECONDS", 0.2)
    tries: list[bool] = []
    fails_for_slots(monkeypatch, lambda: bool(tries.append(True)) or len(tries) < 4)
    enqueue(farm, "none", 3)
    told = drain(farm, 2)
    assert all_built(farm, "none", 3)
    assert len(told.of("note")) >= 1


def test_a_claim_that_waits_for_a_slot_is_released_when_the_worker_stops(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_for_slots(monkeypatch, lambda: True)
    enqueue(farm, "stopped", 3)
    options = Options(None, None, farm.state)
    with running_worker(options, farm.conninfo, open_store(options), jobs=2, observer=Told()):
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
    assert_sound(farm)
    wait_until(lambda: not farm.rows("select 1 from resolver.lease where closed_at is null"))
