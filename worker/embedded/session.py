"""Run a program with the embedded database and store, or with those that the user names."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from .errors import EmbeddedError
from .postgres import shared_postgres
from .state import StateDirectory
from .store import EmbeddedStore
from .tools import find_nix, find_postgres

# libpq's parameters, and the variables that programs without a connection string read.
_LIBPQ = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def database_environment(database: str) -> dict[str, str]:
    """Return the variables that lead libpq's programs and hydra-resolver to a database (a URL or connection string).

    Raises EmbeddedError if it is neither.
    """
    try:
        parameters = conninfo_to_dict(database)
    except psycopg.ProgrammingError as error:
        raise EmbeddedError(f"--database is not a PostgreSQL URL or connection string: {str(error).strip()}") from error
    variables = {_LIBPQ[name]: str(value) for name, value in parameters.items() if name in _LIBPQ}
    return {**variables, "HYDRA_RESOLVER_DATABASE": database}


def store_environment(state: Path | None, store: str | None) -> dict[str, str]:
    """Return a whole environment for Nix's programs: for the store of that URI, else for the embedded one, prepared."""
    if store is not None:
        return {**os.environ, "NIX_REMOTE": store}
    directory = StateDirectory(state)
    embedded = EmbeddedStore(directory.store)
    embedded.prepare()
    return {**embedded.child_environment(), "HYDRA_RESOLVER_STATE": str(directory.path)}


def run_in_environment(argv: Sequence[str], *, state: Path | None, store: str | None, database: str | None) -> int:
    """Run a program with Nix and PostgreSQL on its PATH, set up for the store and database; return its exit status.

    `None` means the default state directory, and the embedded store or database, whose server runs meanwhile. The
    status is 127 if there is no such program, 128 plus the signal's number if a signal ended it. Raises EmbeddedError
    if the environment can't be created.
    """
    with ExitStack() as stack:
        environment = store_environment(state, store)
        if database is None:
            directory = StateDirectory(state)
            database = stack.enter_context(shared_postgres(directory)).conninfo()
            environment["HYDRA_RESOLVER_STATE"] = str(directory.path)
        environment = {name: value for name, value in environment.items() if name not in _LIBPQ.values()}
        environment |= database_environment(database)
        environment["PATH"] = _search_path(environment.get("PATH", os.defpath))
        return _run(argv, environment)


def _search_path(inherited: str) -> str:
    """Put the programs of this Python's environment, Nix and PostgreSQL before the inherited search path."""
    found = [Path(sys.executable).parent, find_nix(), find_postgres()]
    directories = [str(directory) for directory in found if directory is not None]
    rest = [directory for directory in inherited.split(os.pathsep) if directory not in directories]
    return os.pathsep.join(directories + rest)


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the program to its end. It gets the terminal's signals itself; a SIGTERM to us is passed on."""
    program = shutil.which(argv[0], path=environment["PATH"])
    if program is None:
        print(f"hydra-resolver: there is no program {argv[0]}", file=sys.stderr)
        return 127
    # SIGTERM is blocked until there is a child to pass it on to. A child inherits blocked and ignored signals, so it
    # resets both before it becomes the program.
    interrupts = signal.signal(signal.SIGINT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def become_the_program() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    try:
        with subprocess.Popen(argv, executable=program, env=environment, preexec_fn=become_the_program) as child:
            terminate = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            try:
                status = child.wait()
            finally:
                signal.signal(signal.SIGTERM, terminate)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, interrupts)
    return status if status >= 0 else 128 - status
