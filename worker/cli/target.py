"""Which database and which store a command is about: named by the user, or embedded ones under the state directory."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict

from ..database.install import check, install
from ..embedded.postgres import shared_postgres
from ..embedded.state import StateDirectory
from ..embedded.store import EmbeddedStore
from ..embedded.tools import nix_bin
from ..nix.roots import RootDirectory
from ..nix.store import Store
from .errors import CouldNotRun

DATABASE_VARIABLES = ("HYDRA_RESOLVER_DATABASE", "HYDRA_DATABASE_URL", "HYDRA_DBI")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said: `None` where nothing was said."""

    database: str | None
    store: str | None
    state: Path | None

    @property
    def database_url(self) -> str | None:
        """The database named on the command line or in the environment; `None` for the embedded one."""
        named = self.database or next((value for name in DATABASE_VARIABLES if (value := os.environ.get(name))), None)
        return None if named is None else checked(conninfo_of(named))

    @property
    def state_directory(self) -> StateDirectory:
        """Where the embedded database and store are, roots, and build logs."""
        return StateDirectory(self.state)


def conninfo_of(database: str) -> str:
    """A connection string for libpq: a URL or connection string as it is, Perl's `dbi:Pg:a=b;c=d` translated."""
    if database.lower().startswith("dbi:pg:"):
        return " ".join(part.strip() for part in database[7:].split(";") if part.strip())
    return database


def checked(conninfo: str) -> str:
    """The connection string. Raises CouldNotRun when it is none; it is not shown, since it may hold a password."""
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        raise CouldNotRun(
            "--database (or the variable that names it) is no PostgreSQL URL or connection string:"
            f" {str(error).strip()}. Write it as postgresql://USER@HOST/NAME, or as dbname=NAME host=HOST."
        ) from error
    return conninfo


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --database, --store and --state to a command, which gets them as its first argument."""

    @click.option(
        "--database", metavar="URL", help="Hydra's database. Default: from the environment, else an embedded one."
    )
    @click.option("--store", metavar="URI", help="Nix store, as Nix's --store takes it. Default: an embedded one.")
    @click.option(
        "--state", type=click.Path(path_type=Path), metavar="DIR", help="Where embedded ones, roots and logs are."
    )
    @functools.wraps(command)
    def with_options(database: str | None, store: str | None, state: Path | None, **arguments: Any) -> Any:
        return command(Options(database, store, state), **arguments)

    return with_options


@contextmanager
def open_database(options: Options) -> Iterator[str]:
    """The connection string; the embedded server runs, with the schema installed, as long as this is open.

    Raises DatabaseError when a database that was named does not have the schema of this release.
    """
    named = options.database_url
    if named is not None:
        check(named)
        yield named
        return
    with shared_postgres(options.state_directory) as server:
        install(server.conninfo())
        yield server.conninfo()


def open_store(options: Options) -> Store:
    """The store that was named, or the embedded one, made if need be."""
    if options.store is not None:
        return Store(options.store)
    embedded = EmbeddedStore(options.state_directory.store)
    embedded.prepare()
    environment = embedded.child_environment()
    environment["PATH"] = f"{nix_bin()}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return Store("", environment)


def open_roots(options: Options) -> RootDirectory:
    """Where our roots are: below the embedded store's own, else in the state directory."""
    if options.store is not None:
        return RootDirectory(options.state_directory.roots)
    own = EmbeddedStore(options.state_directory.store).directory / "var" / "gcroots" / "hydra-resolver"
    return RootDirectory(own, direct=True)


def store_identity(options: Options) -> str:
    """Tells the store from others of the same directory: the machine, and where its database is."""
    if options.store is not None:
        return f"{platform.node()} {options.store}"
    return f"{platform.node()} {options.state_directory.store}"
