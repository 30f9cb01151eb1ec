"""Garbage collection, and deletions by hand: needed paths are rooted, and lost paths are built again."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hydra_resolver.cli.target import Options
from hydra_resolver.cli.work import running_worker
from hydra_resolver.database.procedures import VERBS, Verb
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.embedded.tools import nix_bin
from hydra_resolver.loop import ticker
from hydra_resolver.loop import worker as worker_module
from hydra_resolver.loop.worker import Worker
from hydra_resolver.loop.worker_state import Observer
from hydra_resolver.nix.build_result import BuildResult
from hydra_resolver.nix.client import Client
from hydra_resolver.nix.errors import StoreError
from hydra_resolver.nix.store import Store

from ..support.failing import assert_sound
from ..support.farm import Farm, open_farm
from ..support.waiting import wait_until

CHAIN = """rec {
  job = name: inputs: floating "@salt@-${name}" "echo built >> $log; cat /dev/null $inputs > $out; echo $name >> $out" {
    inherit inputs; log = "@log@-${name}";
  };
  low = job "low" [ ];
  middle = job "middle" [ low ];
  side = job "side" [ low ];
  high = job "high" [ low middle ];
}"""

NAMES = ("low", "middle", "side", "high")


class Colony:
    """A farm on a store that is treated as a user's own: our roots are in a directory of our own."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.roots = StateDirectory(farm.state).roots
        self.released: list[str] = []

    def enqueue(self, salt: str, expression: str = CHAIN, names: Iterable[str] = NAMES) -> None:
        """Enqueue builds of these derivations."""
        text = expression.replace("@salt@", salt).replace("@log@", str(self.farm.state / salt))
        words = ["--store", "local", "--database", self.farm.conninfo]
        jobs = [word for name in names for word in ("-A", name)]
        self.farm.command("enqueue", self.farm.write(f"{salt}.nix", text), *jobs, *words)

    @contextmanager
    def worker(self, *verbs: Verb, jobs: int = 2) -> Iterator[Worker]:
        """Run a worker for these verbs."""
        colony = self

        class Watcher(Observer):
            def event(self, kind: str, **details: Any) -> None:
                if kind == "released":
                    colony.released.append(details["message"])

        options = Options(self.farm.conninfo, "local", self.farm.state)
        with running_worker(
            options, self.farm.conninfo, Store("local"), verbs=verbs, jobs=jobs, observer=Watcher()
        ) as worker:
            yield worker

    def do(self, *verbs: Verb) -> None:
        """Do all work of these verbs."""
        with self.worker(*verbs) as worker:
            worker.drain()

    def collect(self) -> None:
        """Collect garbage in the store."""
        self.farm.nix("nix-store", "--gc")

    def delete(self, *names: str) -> None:
        """Delete outputs of derivations from the store even if others need them, which Nix itself would refuse."""
        with closing(sqlite3.connect(self.farm.store.directory / "var" / "db" / "db.sqlite")) as database, database:
            database.execute("pragma foreign_keys = on")
            for path in self.outputs(*names):
                where = "select id from ValidPaths where path = ?"
                database.execute(f"delete from Refs where reference in ({where}) or referrer in ({where})", [path] * 2)
                database.execute("delete from ValidPaths where path = ?", [path])
                Path(path).unlink()

    def outputs(self, *names: str) -> list[str]:
        """Return the output paths of derivations by their names."""
        query = "select d.name, o.path from resolver.output o join resolver.derivation d using (derivation)"
        rows = self.farm.rows(f"{query} where d.name = any (%s) and o.path is not null", list(names))
        return sorted({f"{self.farm.store.store_dir}/{row['path']}" for row in rows})

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.farm.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def built(self, salt: str) -> dict[str, int]:
        """Count the builds of each derivation."""
        logs = {name: Path(f"{self.farm.state / salt}-{name}") for name in NAMES}
        return {name: len(log.read_text().splitlines()) if log.exists() else 0 for name, log in logs.items()}

    def all_succeeded(self) -> None:
        """Assert that all builds have succeeded and nothing is claimed."""
        assert self.farm.rows("select distinct finished, buildStatus from Builds") == [
            {"finished": 1, "buildstatus": 0}
        ]
        assert_sound(self.farm)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("garbage")) as farm:
        yield farm


@pytest.fixture
def colony(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Colony:
    for name, value in farm.store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{nix_bin()}{os.pathsep}{os.environ['PATH']}")
    return Colony(farm)


def sweep_roots(colony: Colony, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Let a worker sweep the roots; return the names of derivations and outputs that are still rooted."""
    with monkeypatch.context() as patched:
        patched.setattr(ticker, "ROOTS_KEPT_SECONDS", 0.0)
        with colony.worker("load"):
            time.sleep(1.5)
    return {root.name[33:] for root in colony.roots.iterdir()}


def test_builds_succeed_once_if_garbage_is_collected_after_every_verb(colony: Colony) -> None:
    colony.enqueue("collected")
    for _ in range(4):
        for verb in VERBS:
            colony.do(verb)
            colony.collect()
    colony.all_succeeded()
    assert colony.built("collected") == dict.fromkeys(NAMES, 1)


def test_roots_stay_as_long_as_they_are_needed(colony: Colony, monkeypatch: pytest.MonkeyPatch) -> None:
    colony.enqueue("rooted")
    colony.do("load", "build")
    colony.execute("update resolver.output set valid_since = valid_since - interval '2 days'")
    assert sweep_roots(colony, monkeypatch) >= {"rooted-low", "rooted-high.drv", "rooted-middle.drv"}
    colony.collect()
    colony.do(*VERBS)
    colony.all_succeeded()
    assert colony.built("rooted") == dict.fromkeys(NAMES, 1)

    # An output that was found two days ago stays rooted, because its build has only just ended.
    assert {"rooted-low", "rooted-middle", "rooted-side", "rooted-high"} == {
        name for name in sweep_roots(colony, monkeypatch) if name.startswith("rooted")
    }
    colony.execute("update resolver.output set valid_since = valid_since - interval '2 days'")
    colony.execute("update resolver.goal set ended_at = ended_at - interval '2 days'")
    assert {name for name in sweep_roots(colony, monkeypatch) if name.startswith("rooted")} == set()
    colony.collect()
    assert not any(Path(path).exists() for path in colony.outputs(*(f"rooted-{name}" for name in NAMES)))

    # A known output that is gone from the store is not used.
    colony.enqueue("rooted")
    colony.do(*VERBS)
    colony.all_succeeded()
    assert colony.built("rooted") == dict.fromkeys(NAMES, 2)


def test_an_input_that_is_deleted_before_the_build_is_built_again(colony: Colony) -> None:
    colony.enqueue("vanished")
    colony.do("load", "build")
    colony.do("resolve")
    colony.delete("vanished-low")
    began = time.monotonic()
    colony.do(*VERBS)
    colony.all_succeeded()
    assert colony.built("vanished") == {"low": 2, "middle": 1, "side": 1, "high": 1}
    assert any("inputs are gone from the store: " in reason for reason in colony.released)
    # No derivation waits for a back-off (one minute): the derivations to build were not at fault.
    assert time.monotonic() < began + 50


READER = """rec {
  low = floating "@salt@-low" "echo built >> @log@-low; echo low > $out" { };
  reader = floating "@salt@-reader" ''
    if [ ! -e @log@-began ]; then
      > @log@-began
      while [ -e $input ]; do :; done
    fi
    cat $input > $out
  '' { input = low; };
}"""


def test_an_input_that_is_deleted_during_the_build_is_built_again(colony: Colony) -> None:
    colony.enqueue("raced", READER, ["reader"])
    # The Nix process of the reader remembers the input as valid, since it has built it.
    with colony.worker(*VERBS, jobs=1) as worker:
        wait_until(lambda: Path(f"{colony.farm.state}/raced-began").exists())
        colony.delete("raced-low")
        worker.drain()
    colony.all_succeeded()
    assert colony.built("raced")["low"] == 2
    assert any("inputs are gone from the store: " in reason for reason in colony.released)


def test_an_output_that_is_deleted_before_it_is_reported_is_built_again(
    colony: Colony, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def build(self: Client, *words: Any, **options: Any) -> BuildResult:
        result = real_build(self, *words, **options)
        if not taken:
            taken.extend(colony.farm.store.store_dir / path for path in result.built_outputs.values())
            taken[0].unlink()  # Nix still takes it as valid
        return result

    real_build = Client.build
    monkeypatch.setattr(Client, "build", build)
    colony.enqueue("taken")
    colony.do(*VERBS)
    colony.all_succeeded()
    assert taken[0].exists()
    assert colony.built("taken") == {"low": 2, "middle": 1, "side": 1, "high": 1}


WAITER = """rec {
  low = floating "@salt@-low" "echo built >> @log@-low; echo low > $out" { };
  reader = floating "@salt@-reader" ''
    if [ ! -e @log@-began ]; then
      > @log@-began
      while [ -e $input ]; do :; done
      while [ ! -e $input ]; do :; done
      exit 1
    fi
    cat $input > $out
  '' { input = low; };
}"""


def test_a_builder_is_not_blamed_for_an_input_that_is_missing_for_a_while(colony: Colony) -> None:
    colony.enqueue("returned", WAITER, ["reader"])
    with colony.worker(*VERBS) as worker:
        wait_until(lambda: Path(f"{colony.farm.state}/returned-began").exists())
        (path,) = map(Path, colony.outputs("returned-low"))
        path.unlink()
        time.sleep(0.5)
        path.write_text("low\n")
        worker.drain()
    colony.all_succeeded()
    assert colony.built("returned")["low"] == 1
    assert any("inputs were gone from the store for a while: " in reason for reason in colony.released)


def test_outputs_that_are_deleted_after_they_were_recorded_are_built_again(colony: Colony) -> None:
    colony.enqueue("deleted")
    colony.do(*VERBS)
    colony.delete("deleted-high", "deleted-low")
    colony.enqueue("deleted")
    colony.do(*VERBS)
    colony.all_succeeded()
    assert colony.built("deleted") == {"low": 2, "middle": 1, "side": 1, "high": 2}
    assert all(Path(path).exists() for path in colony.outputs(*(f"deleted-{name}" for name in NAMES)))


@pytest.fixture
def broken_path(tmp_path: Path) -> str:
    """Return a PATH with a Nix that does not work."""
    (tmp_path / "nix-daemon").write_text("#!/bin/sh\necho it is broken >&2; exit 1\n")
    (tmp_path / "nix-daemon").chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.storm
def test_a_command_gives_up_if_its_store_does_not_come_back(
    colony: Colony, broken_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colony.enqueue("given-up-slowly")
    settings = tmp_path / "settings.toml"
    settings.write_text('hydra_data = "."\n')  # a directory without Hydra's files
    words = ["--drain", "--store", "local", "--database", colony.farm.conninfo, "--config", settings]
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{broken_path}{os.pathsep}{nix_bin()}{os.pathsep}{os.environ['PATH']}")
        done = colony.farm.command("worker", *words, check=False)
    assert done.returncode == 2
    assert re.search("Error: the store has failed for 30 s: .*it is broken", done.stderr)
    assert_sound(colony.farm)
    colony.do(*VERBS)
    colony.all_succeeded()


def test_a_worker_gives_up_if_its_store_does_not_come_back(
    colony: Colony, broken_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    colony.enqueue("given-up")
    with monkeypatch.context() as patched:
        patched.setattr(worker_module, "STORE_PATIENCE", 2.0)
        patched.setenv("PATH", f"{broken_path}{os.pathsep}{nix_bin()}{os.pathsep}{os.environ['PATH']}")
        with colony.worker(*VERBS) as worker, pytest.raises(StoreError, match=r"has failed for 2 s: .*it is broken"):
            worker.drain()
    assert_sound(colony.farm)
    colony.do(*VERBS)
    colony.all_succeeded()
    assert colony.built("given-up") == dict.fromkeys(NAMES, 1)
