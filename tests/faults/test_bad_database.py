"""Databases that cannot be used, and databases that go away: a clear error, and no half-done change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.embedded.postgres import EmbeddedPostgres, server_pid

from ..support.failing import Running, assert_sound, running
from ..support.farm import Farm, open_server
from ..support.waiting import PATIENCE, wait_until

VERBS = {
    "run": ["run", "{file}"],
    "enqueue": ["enqueue", "{file}"],
    "worker": ["worker", "--drain"],
    "status": ["status"],
    "install": ["db", "install"],
    "check": ["db", "check"],
}
SLOW = """rec {
  low = floating "low" "sleep 2; echo low > $out" { };
  middle = floating "middle" "sleep 1; cat $low > $out" { inherit low; };
  high = floating "high" "cat $middle > $out" { inherit middle; };
}"""


@contextmanager
def farm_with_server(state: Path) -> Iterator[tuple[Farm, EmbeddedPostgres]]:
    """Open a farm whose server the test may stop; start the server again in the end."""
    with open_server(state) as server:
        farm = Farm(state, server.conninfo())
        yield farm, server
        server.start()


def kill_server(server: EmbeddedPostgres) -> None:
    """Crash the server: it writes nothing more, and must recover at the next start."""
    pid = server_pid(server.data)
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: server_pid(server.data) is None)


@pytest.fixture(scope="module", autouse=True)
def deserted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Farm, EmbeddedPostgres, Running]]:
    """A run whose database went away and stays away; its time limit passes while the other tests run."""
    with farm_with_server(tmp_path_factory.mktemp("deserted")) as (farm, server):
        execute(farm.conninfo, "update resolver.setting set lease_time = '3 seconds'")
        with running(farm, "run", farm.write("slow.nix", SLOW)) as run:
            run.says("building")
            kill_server(server)
            yield farm, server, run


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad-database")


def refused(state: Path, verb: str, database: str) -> str:
    """Run a command that must end with status 2; return its error."""
    file = Farm(state, "").write("fine.nix", 'floating "fine" "echo > $out" { }')
    words = [word.format(file=file) for word in VERBS[verb]]
    done = subprocess.run(
        [sys.executable, "-m", "hydra_resolver", *words, "--state", state, "--database", database],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    error = done.stderr[done.stderr.index("Error: ") :]
    assert len(error.splitlines()) == 1, error
    return error


def execute(database: str, statement: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement.encode())


def relations(database: str) -> list[tuple[str, ...]]:
    """Return all relations and schemas of the database."""
    with psycopg.connect(database) as connection:
        return connection.execute(
            "select relname::text, relkind::text from pg_class"
            " where relnamespace::regnamespace::text !~ '^(pg_|information)'"
            " union all select nspname::text, 'schema' from pg_namespace order by 1, 2"
        ).fetchall()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("database", ["nonsense", "http://example.org/x"])
def test_a_malformed_connection_string_is_refused(state: Path, verb: str, database: str) -> None:
    error = refused(state, verb, database)
    assert "not a PostgreSQL URL or connection string" in error
    assert "Write it as postgresql://USER@HOST/NAME" in error


def test_an_error_does_not_show_the_password(state: Path) -> None:
    assert "secret" not in refused(state, "status", "postgresql://user:secret@host:port/name")


@pytest.mark.parametrize("verb", VERBS)
def test_an_unreachable_server_is_reported(state: Path, verb: str) -> None:
    error = refused(state, verb, "postgresql:///x?host=/nowhere")
    assert "the database can't be reached" in error
    assert "Is it running, and is --database right?" in error


def test_a_missing_database_is_reported(state: Path, cluster: EmbeddedPostgres) -> None:
    assert 'database "nowhere" does not exist' in refused(state, "run", cluster.conninfo("nowhere"))


@pytest.mark.parametrize("verb", VERBS)
def test_a_database_without_hydra_is_refused_and_left_unchanged(state: Path, empty_database: str, verb: str) -> None:
    execute(empty_database, "create table customers (name text)")
    before = relations(empty_database)
    assert "this database is not Hydra's" in refused(state, verb, empty_database)
    assert relations(empty_database) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_hydra_that_is_too_old_is_refused_and_left_unchanged(state: Path, empty_database: str, verb: str) -> None:
    execute(empty_database, "create table SchemaVersion (version integer not null)")
    execute(empty_database, "insert into SchemaVersion values (86)")
    before = relations(empty_database)
    error = refused(state, verb, empty_database)
    assert "Hydra's schema has version 86; the resolver needs 87 or later. Upgrade Hydra" in error
    assert relations(empty_database) == before


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "install"])
def test_a_database_without_the_schema_is_refused_with_the_install_command(
    state: Path, empty_database: str, verb: str
) -> None:
    assert "hydra-resolver db install --database URL" in refused(state, verb, empty_database)
    assert ("resolver", "schema") not in relations(empty_database)


@pytest.mark.parametrize("verb", VERBS)
def test_a_schema_of_a_newer_release_is_refused_and_left_unchanged(state: Path, database: str, verb: str) -> None:
    execute(database, "insert into resolver.migration (number, name, checksum) values (9999, 'later', '')")
    before = relations(database)
    assert "a newer release installed it. Use that release, or a later one." in refused(state, verb, database)
    assert relations(database) == before


@pytest.mark.parametrize("verb", ["run", "enqueue", "worker", "check"])
def test_a_read_only_database_is_refused(state: Path, database: str, verb: str) -> None:
    with psycopg.connect(database) as connection:
        execute(database, f"alter database {connection.info.dbname} set default_transaction_read_only = on")
    assert "the database is read-only: name its primary server with --database." in refused(state, verb, database)


def test_installing_into_a_read_only_database_is_refused(state: Path, empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        execute(empty_database, f"alter database {connection.info.dbname} set default_transaction_read_only = on")
    assert "the database is read-only" in refused(state, "install", empty_database)
    assert ("resolver", "schema") not in relations(empty_database)


def test_a_run_goes_on_when_the_database_comes_back(tmp_path: Path) -> None:
    with farm_with_server(tmp_path) as (farm, server):
        with running(farm, "run", farm.write("slow.nix", SLOW)) as run:
            run.says("building")
            kill_server(server)
            time.sleep(3)
            server.start()
            assert run.ends() == 0
        assert "3 builds: 3 succeeded" in run.output()
        assert_sound(farm)
        assert farm.built_by_nix() == farm.built_by_rows()


def test_a_run_ends_when_the_database_stays_away_and_nothing_is_lost(
    deserted: tuple[Farm, EmbeddedPostgres, Running],
) -> None:
    farm, server, run = deserted
    assert run.ends() == 2
    last = run.output().splitlines()[-1]
    assert last.startswith("Error: the database can't be reached")
    assert last.endswith("Finished work is kept: run the same command again.")

    server.start()
    assert farm.violations() == []
    assert farm.rows("select count(*) from Builds where finished = 0") == [{"count": 3}]
    farm.command("worker", "--drain")
    assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}] * 3
    assert_sound(farm)
