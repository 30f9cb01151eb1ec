"""Fixtures: a real PostgreSQL for the run, a fresh database and a Nix store for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.embedded.tools import find_nix

from .temporary import create_database, create_installed_database, drop_database, temporary_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A running server, for the whole run."""
    with temporary_cluster() as server:
        yield server


@pytest.fixture(scope="session")
def database_template(cluster: EmbeddedPostgres) -> str:
    """The name of a database with the schema installed; nobody may stay connected to it."""
    return create_installed_database(cluster)


@pytest.fixture
def database(cluster: EmbeddedPostgres, database_template: str) -> Iterator[str]:
    """The URL, as its plain owner, of a fresh database with the schema installed."""
    name = create_database(cluster, database_template)
    yield cluster.conninfo(name)
    drop_database(cluster, name)


@pytest.fixture
def empty_database(cluster: EmbeddedPostgres) -> Iterator[str]:
    """The URL, as its plain owner, of a fresh database with nothing in it."""
    name = create_database(cluster)
    yield cluster.conninfo(name)
    drop_database(cluster, name)


@pytest.fixture
def nix_store(tmp_path: Path) -> EmbeddedStore:
    """A prepared Nix store with nothing in it."""
    if find_nix() is None:
        problem = "there is no recent Nix: run the tests through ./dev test"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    store = EmbeddedStore(tmp_path / "nix")
    store.prepare()
    return store
