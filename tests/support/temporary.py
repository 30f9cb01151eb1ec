"""A PostgreSQL server and databases for the duration of a test run."""

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from hydra_resolver.embedded.place import server_user
from hydra_resolver.embedded.postgres import OWNER, EmbeddedPostgres
from hydra_resolver.embedded.tools import postgres_bin

_numbers = itertools.count(1)
_until_exit = ExitStack()
atexit.register(_until_exit.close)
_templates: dict[Path, Path] = {}
"""The data directory of a cluster with the schema installed, by the directory of the server's programs."""
_copies: dict[Path, Path] = {}
"""The directory with the files of each copied cluster, by the link to it."""


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Make a directory that the server's user can also enter, even if we are root; remove it in the end."""
    directory = Path(tempfile.mkdtemp(prefix="hydra-resolver-test-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        deadline = time.monotonic() + 10
        while directory.exists() and time.monotonic() < deadline:  # an interrupted initdb may still write into it
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def temporary_cluster(*, vacuums: bool = True) -> Iterator[EmbeddedPostgres]:
    """Run a server until the end, without fsync.

    If tests roll back their rows, the server should not vacuum: a vacuum in the middle of a test would leave statistics
    of empty tables.
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
    # The strategy wal_log would write everything twice, and keep up to a gigabyte of log.
    statement = sql.SQL("create database {} owner {} template {} strategy file_copy").format(
        sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
    )
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as connection:
        connection.execute(statement)
    return name


def drop_database(cluster: EmbeddedPostgres, name: str) -> None:
    """Drop a database and end its sessions."""
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def create_installed_database(cluster: EmbeddedPostgres) -> str:
    """Create a database with Hydra's tables and our schema; return its name, to use it as a template."""
    from hydra_resolver.database.install import install  # imported late, so that other tests run without it

    name = create_database(cluster)
    install(cluster.conninfo(name))
    return name


def copy_cluster(directory: Path) -> bool:
    """Unless `directory` exists, make it a copy of a cluster with the schema installed. Return whether it was copied.

    The copy takes a fraction of the time of a new installation. `directory` becomes a link to a temporary directory,
    since the server's user can seldom enter directories of root. The copied files are removed after the link is
    removed, or at exit.
    """
    for link, place in list(_copies.items()):
        if os.path.realpath(link) != str(place):
            shutil.rmtree(place, ignore_errors=True)
            del _copies[link]
    if directory.exists():
        return False
    place = Path(os.path.realpath(_until_exit.enter_context(temporary_directory())))
    server_user().own(place)
    if not server_user().can_write(place):  # the user cannot reach TMPDIR
        return False
    subprocess.run(["cp", "--archive", _template(), place / "data"], check=True)
    directory.symlink_to(place)
    _copies[directory] = place
    return True


def _template() -> Path:
    programs = postgres_bin()
    if programs not in _templates:
        from hydra_resolver.database.install import install

        directory = _until_exit.enter_context(temporary_directory())
        with EmbeddedPostgres(directory / "postgres", fsync=False) as cluster:
            install(cluster.conninfo())
        _templates[programs] = cluster.data
    return _templates[programs]
