"""A whole farm for tests: a state directory with an embedded database and store, and the command run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from hydra_resolver.database.install import install
from hydra_resolver.embedded.postgres import EmbeddedPostgres, shared_postgres
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.embedded.store import EmbeddedStore

from .temporary import copy_cluster
from .waiting import PATIENCE, wait_for

FLOATING = """
let
  floating = name: script: attrs: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/bin:/usr/bin";
    __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
  } // attrs);
in
"""


class Farm:
    """The command on one state directory, and its database, whose server runs while the farm is open."""

    def __init__(self, state: Path, conninfo: str) -> None:
        self.state = state
        self.conninfo = conninfo
        self.store = EmbeddedStore(StateDirectory(state).store)

    def command(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `hydra-resolver WORDS`; unless `check` is false, it must not end with status 2 or by a signal."""
        verb, *rest = words
        done = subprocess.run(
            [sys.executable, "-m", "hydra_resolver", verb, "--state", self.state, *rest],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            env={name: value for name, value in os.environ.items() if not name.startswith("HYDRA_")},
        )
        assert not check or done.returncode in (0, 1), done.stderr
        return done

    def run(self, *words: str | Path) -> dict[str, dict[str, Any]]:
        """Run `run --json`; return the builds by job."""
        lines = self.command("run", "--json", *words).stdout.splitlines()
        return {build["job"]: build for build in map(json.loads, lines)}

    def write(self, name: str, expression: str) -> Path:
        """Write a Nix file in which `floating name script attrs` makes a floating derivation."""
        file = self.state / name
        file.write_text(FLOATING + expression)
        return file

    def nix(self, *words: str | Path, check: bool = True) -> str:
        """Run a Nix program on the store; return what it prints."""
        done = subprocess.run(
            words, env=self.store.child_environment(), capture_output=True, text=True, check=False, timeout=120
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run a query as the owner of the database; return its rows."""
        with psycopg.connect(self.conninfo, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), parameters or None).fetchall()

    def wait_for(self, query: str, *, within: float = PATIENCE) -> list[dict[str, Any]]:
        """Wait until a query has rows; return them."""
        return wait_for(self.conninfo, query, within=within)

    def violations(self) -> list[dict[str, Any]]:
        """Return the broken invariants."""
        return self.rows("select * from resolver.invariant_violations()")

    def steps(self, build: int) -> list[tuple[int, int | None, str]]:
        """Return (type, status, name of the derivation) of each step of a build."""
        rows = self.rows("select type, status, drvPath from BuildSteps where build = %s order by stepnr", build)
        return [(row["type"], row["status"], name_of(row["drvpath"])) for row in rows]

    def built_by_nix(self) -> set[str]:
        """Return the base names of all .drv files that Nix has built in the store, according to Nix's logs."""
        return {(log.parent.name + log.name).removesuffix(".bz2") for log in (self.store.log_dir / "drvs").glob("??/*")}

    def built_by_rows(self) -> set[str]:
        """Return the base names of all .drv files that were built, according to Hydra's rows."""
        rows = self.rows("select drvPath from BuildSteps where type = 0 and status <> 13 and propagatedFrom is null")
        return {row["drvpath"].rpartition("/")[2] for row in rows}


def name_of(drv: str) -> str:
    """Return the name of a derivation from its path."""
    return drv.rpartition("/")[2][33:].removesuffix(".drv")


@contextmanager
def open_server(state: Path) -> Iterator[EmbeddedPostgres]:
    """Start the embedded server in a state directory; its database has the schema installed."""
    copy_cluster(StateDirectory(state).postgres)
    with shared_postgres(StateDirectory(state), fsync=False) as server:
        install(server.conninfo())
        yield server


@contextmanager
def open_farm(state: Path) -> Iterator[Farm]:
    """Open a farm in a state directory."""
    with open_server(state) as server:
        farm = Farm(state, server.conninfo())
        farm.store.prepare()
        yield farm
