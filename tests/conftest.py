"""Fixtures: one real PostgreSQL for the run, a fresh database and a Nix store for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.embedded.tools import find_nix

from .support.temporary import create_database, create_installed_database, drop_database, temporary_cluster

LONG = (
    "test_resolve_command.py",
    "test_resolve_stores.py",
    "test_database_failures.py",
    "test_restarts.py",
    "test_resolve_refusals.py",
    "test_trace.py",
    "test_nix_oracle.py",
    "test_bad_input.py",
    "test_leases.py",
    "test_workers.py",
    "test_trace_commands.py",
    "test_bad_database.py",
    "test_machines.py",
    "test_dynamic.py",
    "test_pooler.py",
    "test_garbage.py",
    "test_embedded.py",
    "test_settings.py",
    "test_notifications.py",
)
"""The test files that take longest, the longest first."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest files if several processes share the files, so that all end at about the same time."""
    if hasattr(config, "workerinput"):
        ranks = {name: rank for rank, name in enumerate(LONG)}
        items.sort(key=lambda item: ranks.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session", autouse=True)
def no_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests from reading the settings file of the user who runs them."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedPostgres]:
    """One running server for the whole run."""
    with temporary_cluster() as server:
        yield server


@pytest.fixture(scope="session")
def database_template(cluster: EmbeddedPostgres) -> str:
    """The name of a database with the schema installed, to copy from: no session may stay connected to it."""
    return create_installed_database(cluster)


@pytest.fixture
def database(cluster: EmbeddedPostgres, database_template: str) -> Iterator[str]:
    """The URL of a fresh database with the schema installed, as its plain owner."""
    name = create_database(cluster, database_template)
    yield cluster.conninfo(name)
    drop_database(cluster, name)


@pytest.fixture
def empty_database(cluster: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a fresh, empty database, as its plain owner."""
    name = create_database(cluster)
    yield cluster.conninfo(name)
    drop_database(cluster, name)


@pytest.fixture
def hydra(empty_database: str) -> str:
    """The URL of a database with Hydra's tables and two builds, but without our schema, as its plain owner."""
    from hydra_resolver.database.release import sql_directory

    directory = sql_directory() / "hydra"
    with psycopg.connect(empty_database) as connection:
        for name in ("tables.sql", "triggers.sql"):
            connection.execute((directory / name).read_bytes())
        connection.execute(
            """
            insert into Users (userName, emailAddress, password) values ('me', '', '!');
            insert into Projects (name, displayName, owner) values ('p', 'p', 'me');
            insert into Jobsets (project, name, nixExprInput, nixExprPath, emailOverride)
            values ('p', 'j', 'i', 'f', '');
            insert into Builds (finished, timestamp, jobset_id, job, drvPath, system, startTime, stopTime)
            select n, 1, 1, 'job', '/nix/store/' || repeat('1', 32) || '-job.drv', 'any', 1, 1
              from generate_series(0, 1) n;
            insert into BuildSteps (build, stepnr, type, drvPath, busy, status) values (2, 1, 0, 'x', 0, 0);
            """
        )
    return empty_database


@pytest.fixture
def nix_store(tmp_path: Path) -> EmbeddedStore:
    """A prepared, empty Nix store."""
    if find_nix() is None:
        problem = "there is no recent Nix: run the tests through ./dev test"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    store = EmbeddedStore(tmp_path / "nix")
    store.prepare()
    return store
