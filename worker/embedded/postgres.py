"""A PostgreSQL server of our own: one private cluster, reached by a Unix socket only."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from .errors import EmbeddedError
from .place import SOCKET_NAME, ServerUser, find_place, orphans, server_user, socket_directory
from .state import StateDirectory
from .tools import postgres_bin

DATABASE = "hydra"
OWNER = "hydra"
SUPERUSER = "postgres"
START_TIMEOUT = 60.0  # seconds, recovery after a crash included

# The owner of the database is a plain role, as on a Hydra server; Hydra's one extension needs more than that.
_ROLE = f"create role {OWNER} login;\ncreate database {DATABASE} owner {OWNER} template template0;\n"
_EXTENSIONS = "create extension pg_trgm;\n"


class EmbeddedPostgres:
    """One cluster in `directory` (or linked from there, see `place`); the first start() creates it.

    `fsync=False` is for tests: a crash of the machine may then lose the cluster. Two processes must not start or stop
    one at the same time; shared_postgres() prevents this.
    """

    def __init__(self, directory: Path, *, fsync: bool = True) -> None:
        self._directory = Path(os.path.realpath(directory.parent)) / directory.name
        self._fsync = fsync
        self._user: ServerUser | None = None
        self._place: Path | None = None
        self._socket: Path | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # an interrupt, too: the server may be starting
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        """The data directory; EmbeddedError before the first start()."""
        return self._started(self._place) / "data"

    @property
    def log(self) -> Path:
        """The server's log; EmbeddedError before the first start()."""
        return self._started(self._place) / "server.log"

    def conninfo(self, database: str = DATABASE, user: str = OWNER) -> str:
        """Return the URL of a database, by default Hydra's as its owner; EmbeddedError before the first start()."""
        return f"postgresql://{user}@/{database}?host={quote(str(self._started(self._socket)), safe='')}"

    def superuser_conninfo(self, database: str = "postgres") -> str:
        """Return the URL of a database as superuser, for tests; EmbeddedError before the first start()."""
        return self.conninfo(database, SUPERUSER)

    @staticmethod
    def _started(path: Path | None) -> Path:
        if path is None:
            raise EmbeddedError("the embedded database was not started: call start() first")
        return path

    def start(self) -> str:
        """Create the cluster if it is missing, start its server if it is not running; return conninfo().

        If a killed process left its server running, this process takes it over. Raises EmbeddedError, with the end of
        the server's log.
        """
        self._user = server_user()
        self._place = find_place(self._directory, self._user)
        self._remove_orphans()
        self._socket = socket_directory(self._place, self._user)
        bin_dir = self._make_cluster(self._user)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            running = server_pid(self.data) is not None  # it may still be recovering, or shutting down
            problem = self._connect() if running else self._launch(self._user, bin_dir)
            if problem is None:
                return self.conninfo()
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the embedded database does not start: {problem}\n{self._log_end()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server and end its sessions; do nothing if it is not running."""
        if self._user is None or self._place is None or server_pid(self.data) is None:
            return
        pg_ctl = [str(self._bin() / "pg_ctl"), "stop", "-D", str(self.data), "--silent", "--wait"]
        if (
            self._user.run([*pg_ctl, "--mode=fast", "--timeout=60"]).returncode != 0
            and server_pid(self.data) is not None
        ):
            done = self._user.run([*pg_ctl, "--mode=immediate", "--timeout=30"])
            if done.returncode != 0 and server_pid(self.data) is not None:
                raise EmbeddedError(f"the embedded database does not stop: {done.stderr.strip()}\n{self._log_end()}")

    def _bin(self) -> Path:
        """Return the programs of the version that created the cluster."""
        version = self.data / "PG_VERSION"
        return postgres_bin(int(version.read_text()) if version.exists() else None)

    def _make_cluster(self, user: ServerUser) -> Path:
        """Create the data directory, role and database under another name, and rename it. Return its programs."""
        bin_dir = self._bin()
        if self.data.exists():
            return bin_dir
        new = self.data.with_name("data.new")
        shutil.rmtree(new, ignore_errors=True)
        # Trust is safe: the only way in is a socket in a directory that only the server's user and root can enter.
        options = [
            "--auth-local=trust",
            "--auth-host=reject",
            f"--username={SUPERUSER}",
            "--locale=C",
            "--encoding=UTF8",
        ]
        options += [] if self._fsync else ["--no-sync"]
        self._check(user, [str(bin_dir / "initdb"), "-D", str(new), *options])
        sync = "on" if self._fsync else "off"
        single = [str(bin_dir / "postgres"), "--single", "-j", "-D", str(new), "-c", f"fsync={sync}"]
        self._check(user, [*single, "postgres"], _ROLE)
        self._check(user, [*single, DATABASE], _EXTENSIONS)
        new.rename(self.data)
        return bin_dir

    @staticmethod
    def _check(user: ServerUser, command: list[str], sql: str = "") -> None:
        done = user.run(command, stdin="\n".join(f"{line}\n" for line in sql.splitlines()))
        if done.returncode != 0 or "ERROR:" in done.stderr:
            raise EmbeddedError(f"the embedded database can't be made:\n{done.stdout}{done.stderr}".rstrip())

    def _launch(self, user: ServerUser, bin_dir: Path) -> str | None:
        """Start the server and wait until it accepts connections; return the reason if it does not."""
        _forget_killed_server(self.data)
        (self._started(self._socket) / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
        settings = self.data / "postgresql.conf"
        settings.write_text("".join(f"{name} = '{value}'\n" for name, value in self._settings().items()))
        user.own(settings)
        done = user.run(
            [
                str(bin_dir / "pg_ctl"),
                "start",
                "-D",
                str(self.data),
                "-l",
                str(self.log),
                "--silent",
                "--wait",
                "-t",
                "60",
            ]
        )
        return None if done.returncode == 0 else (done.stderr or done.stdout).strip()

    def _settings(self) -> dict[str, str]:
        """Return the whole of postgresql.conf. Quotes in paths are doubled."""
        sync = "on" if self._fsync else "off"
        return {
            "listen_addresses": "",
            "unix_socket_directories": str(self._started(self._socket)).replace("'", "''"),
            "unix_socket_permissions": "0700",
            "cluster_name": "hydra-resolver",
            "max_connections": "100",
            "shared_buffers": "128MB",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "jit": "off",  # costs more than it saves: our statements are short
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            "fsync": sync,
            "full_page_writes": sync,
        }

    def _connect(self) -> str | None:
        """Return why a running server does not accept connections, None if it does."""
        try:
            psycopg.connect(self.superuser_conninfo(), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return str(error).strip()
        return None

    def _remove_orphans(self) -> None:
        for orphan in orphans():
            if server_pid(orphan / "data") is None:
                shutil.rmtree(orphan, ignore_errors=True)

    def _log_end(self) -> str:
        try:
            return "\n".join(["the end of the server's log:", *self.log.read_text(errors="replace").splitlines()[-10:]])
        except OSError:
            return f"there is no server log at {self.log}"


def server_pid(data: Path) -> int | None:
    """Return the process number of the server that runs on a data directory, None if there is none.

    postmaster.pid alone is no proof: it outlives a killed server, and another process can get its number.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError):
        return None
    return pid if os.fsencode(data) in command else None


def _forget_killed_server(data: Path) -> None:
    """If a killed server's number in postmaster.pid now belongs to another program, write the number of no process.

    PostgreSQL would take that program for a server. The rest of the file stays: it shows a new server that sessions of
    the killed one still use the old shared memory, and the new server refuses to start until they have ended.
    """
    path = data / "postmaster.pid"
    try:
        number, rest = path.read_text().split("\n", 1)
    except (OSError, ValueError):
        return
    if Path("/proc", number.strip()).exists():
        with subprocess.Popen(["true"]) as ended:
            ended.wait()
        path.write_text(f"{ended.pid}\n{rest}")


@contextmanager
def shared_postgres(state: StateDirectory, *, fsync: bool = True) -> Iterator[EmbeddedPostgres]:
    """Use the embedded server together with other processes: the first one starts it, the last one stops it.

    A process that is killed leaves the server running, for the next process. Raises EmbeddedError.
    """
    server = EmbeddedPostgres(state.postgres, fsync=fsync)
    with state.exclusive():
        user = state.join()
        try:
            server.start()
        except BaseException:
            user.leave()
            raise
    try:
        yield server
    finally:
        with state.exclusive():
            if user.leave():
                server.stop()
