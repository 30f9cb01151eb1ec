"""A PostgreSQL server and databases for the length of a test run."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from hydra_resolver.embedded.postgres import OWNER, EmbeddedPostgres

_numbers = itertools.count(1)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory that the server's user can enter too, when we are root; removed in the end."""
    directory = Path(tempfile.mkdtemp(prefix="hydra-resolver-test-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def temporary_cluster(*, vacuums: bool = True) -> Iterator[EmbeddedPostgres]:
    """A server that runs until the end, without fsync.

    Where tests roll back their rows it should not vacuum: that leaves statistics of empty tables in the middle of one.
    """
    with temporary_directory() as directory, EmbeddedPostgres(directory / "postgres", fsync=False) as cluster:
        if not vacuums:
            with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as connection:
                connection.execute("alter system set autovacuum = off")
                connection.execute("select pg_reload_conf()")
        yield cluster


def create_database(cluster: EmbeddedPostgres, template: str = "template0") -> str:
    """Create a database that belongs to the plain owner, as a copy of `template`; return its name."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    statement = sql.SQL("create database {} owner {} template {}").format(
        sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
    )
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as connection:
        connection.execute(statement)
    return name


def drop_database(cluster: EmbeddedPostgres, name: str) -> None:
    """Drop a database, ending the sessions in it."""
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def create_installed_database(cluster: EmbeddedPostgres) -> str:
    """Create a database with Hydra's tables and our schema in it; return its name, which serves as a template."""
    from hydra_resolver.database.install import install  # the first import of it, so that other tests run without

    name = create_database(cluster)
    install(cluster.conninfo(name))
    return name
