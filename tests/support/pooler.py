"""A pgbouncer in transaction mode for tests, reachable by a Unix socket only."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hydra_resolver.embedded.place import server_user
from hydra_resolver.embedded.tools import cache_directory

from .temporary import temporary_directory
from .waiting import PATIENCE

POOL_SIZE = 3
_PORT = "6432"  # only part of the socket's name


@dataclass(frozen=True)
class Pooler:
    """A running pgbouncer, and the server behind it."""

    directory: Path

    def conninfo(self, direct: str) -> str:
        """Return the connection string through the pooler for a direct one."""
        return make_conninfo(direct, host=str(self.directory), port=_PORT)

    def console(self, direct: str) -> str:
        """Return the connection string of the pooler's console: it speaks PostgreSQL's protocol, without LISTEN."""
        return make_conninfo(self.conninfo(direct), dbname="pgbouncer")


def find_pgbouncer(directory: Path) -> tuple[str, dict[str, str]]:
    """Return the program, installed or unpacked by `./dev test` and copied to `directory`, and its environment.

    If there is no pgbouncer, the test is skipped; under CI it fails.
    """
    installed = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if installed is not None:
        return installed, {}
    unpacked = cache_directory() / "pgbouncer" / "usr"
    if unpacked.exists():
        shutil.copytree(unpacked, directory / "usr")  # the server's user cannot enter root's cache
        libraries = {str(library.parent) for library in directory.glob("usr/lib/**/*.so*")}
        return str(directory / "usr/sbin/pgbouncer"), {"LD_LIBRARY_PATH": os.pathsep.join(sorted(libraries))}
    problem = "there is no pgbouncer: run the tests through ./dev test"
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


@contextmanager
def pooler_for(direct: str, *users: str) -> Iterator[Pooler]:
    """Run a pooler for these users and for all databases of the server in `direct`."""
    user = server_user()
    with temporary_directory() as directory:
        socket = conninfo_to_dict(direct)["host"]
        (directory / "users").write_text("".join(f'"{name}" ""\n' for name in ("hydra", *users)))
        (directory / "pgbouncer.ini").write_text(
            f"""
            [databases]
            * = host={socket}
            [pgbouncer]
            listen_addr =
            listen_port = {_PORT}
            unix_socket_dir = {directory}
            auth_type = trust
            auth_file = {directory}/users
            admin_users = hydra
            pool_mode = transaction
            default_pool_size = {POOL_SIZE}
            logfile = {directory}/log
            pidfile = {directory}/pid
            """.replace("\n            ", "\n")
        )
        for path in (directory, *directory.iterdir()):
            if user.switch:
                os.chown(path, user.uid, user.gid)
        program, environment = find_pgbouncer(directory)
        switch = {"user": user.uid, "group": user.gid, "extra_groups": []} if user.switch else {}
        process = subprocess.Popen(  # type: ignore[call-overload]
            [program, "-q", directory / "pgbouncer.ini"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, **environment},
            **switch,
        )
        try:
            pooler = Pooler(directory)
            _wait_for(pooler.console(direct), directory / "log", process)
            yield pooler
        finally:
            process.kill()
            process.wait()


def _wait_for(console: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(console, autocommit=True):
            return
        said = log.read_text() if log.exists() else ""
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
