"""The database and the store of a command: named by the user, or embedded ones under the state directory."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict

from ..database.install import check, install
from ..embedded.postgres import shared_postgres
from ..embedded.state import StateDirectory
from ..embedded.store import EmbeddedStore
from ..nix.roots import RootDirectory
from ..nix.store import Store
from ..settings_file import Settings, SettingsError, load_settings
from ..verbs.vanished import files_elsewhere
from .errors import CouldNotRun

NO_LISTENING = "none"
"""The value of `listen_database` that makes workers poll only."""
_DBI_NAMES = {"db": "dbname", "database": "dbname"}


@dataclass(frozen=True, slots=True)
class Options:
    """The target of a command, from its own options, the environment, and the settings file.

    `None` for a value that none of them has.
    """

    database: str | None
    store: str | None
    state: Path | None
    settings: Settings = field(default_factory=Settings)

    @property
    def database_url(self) -> str | None:
        """The connection string of the database; `None` for the embedded one."""
        if self.database is None:
            return None
        return checked(conninfo_of(self.database), f"database ({self.settings.get('database').origin})")

    def listen_url(self, conninfo: str, given: str | None = None) -> str | None:
        """Return the connection string to listen on, if the database is `conninfo`; `None`: do not listen."""
        named = self.settings.get("listen_database", given)
        if named.value is None:
            return conninfo
        if named.value == NO_LISTENING:
            return None
        return checked(conninfo_of(named.value), f"listen_database ({named.origin})")

    @property
    def state_directory(self) -> StateDirectory:
        """The directory of the embedded database and store, roots, and build logs."""
        return StateDirectory(self.state)


def conninfo_of(database: str) -> str:
    """Return a connection string for libpq: a URL or connection string as it is, Perl's `dbi:Pg:a=b;c=d` translated."""
    if not database.lower().startswith("dbi:pg:"):
        return database
    pairs = [part.strip().partition("=") for part in database[7:].split(";") if part.strip()]
    return " ".join(f"{_DBI_NAMES.get(name.strip(), name.strip())}={value.strip()}" for name, _, value in pairs)


def checked(conninfo: str, where: str) -> str:
    """Return the connection string. Raises CouldNotRun if it is invalid; the message hides it, for its password."""
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        raise CouldNotRun(
            f"{where} is not a PostgreSQL URL or connection string: {str(error).strip()}."
            " Write it as postgresql://USER@HOST/NAME, or as dbname=NAME host=HOST."
        ) from error
    return conninfo


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --database, --store, --state and --config to a command, which gets them as its first argument."""

    @click.option(
        "--database", metavar="URL", help="Hydra's database. Default: from the environment, else an embedded one."
    )
    @click.option("--store", metavar="URI", help="Nix store, as Nix's --store takes it. Default: an embedded one.")
    @click.option(
        "--state", type=click.Path(path_type=Path), metavar="DIR", help="Directory of embedded ones, roots, logs."
    )
    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings file; `hydra-resolver config` shows it.",
    )
    @functools.wraps(command)
    def with_options(
        database: str | None, store: str | None, state: Path | None, config: Path | None, **arguments: Any
    ) -> Any:
        try:
            settings = load_settings({"database": database, "store": store, "state": state}, config)
            options = Options(settings.value("database"), settings.value("store"), settings.value("state"), settings)
        except SettingsError as error:
            raise CouldNotRun(str(error)) from error
        return command(options, **arguments)

    return with_options


@contextmanager
def open_database(options: Options) -> Iterator[str]:
    """Yield the connection string; an embedded server runs, with the schema installed, as long as this is open.

    Raises DatabaseError if a named database does not have the schema of this release.
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
    """Return the named store, or the embedded one, which is created if it is missing."""
    if options.store is not None:
        return Store(options.store)
    embedded = EmbeddedStore(options.state_directory.store)
    embedded.prepare()
    environment = embedded.child_environment()
    environment["PATH"] = f"{embedded.programs}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return Store("", environment, str(embedded.store_dir))


@contextmanager
def open_both(options: Options) -> Iterator[tuple[str, Store]]:
    """Open both at the same time; the store's settings are read already. Raises as open_database and open_store do."""
    pool = ThreadPoolExecutor(1)
    store = pool.submit(_open_ready_store, options)
    pool.shutdown(wait=False)
    with open_database(options) as conninfo:
        yield conninfo, store.result()


def _open_ready_store(options: Options) -> Store:
    store = open_store(options)
    store.settings  # noqa: B018
    return store


def has_ca_derivations(store: Store) -> bool:
    """Return whether the local Nix has content-addressed derivations on. A daemon elsewhere can't be asked."""
    return "ca-derivations" in store.settings.experimental_features


def require_ca_derivations(store: Store) -> None:
    """Raise CouldNotRun if the local Nix has no content-addressed derivations."""
    if not has_ca_derivations(store):
        raise CouldNotRun(
            "Nix has no content-addressed derivations here: the experimental feature ca-derivations is off."
            " Add the line `extra-experimental-features = ca-derivations` to nix.conf"
            " (to the daemon's, if there is one, and restart it)."
        )


def require_files(store: Store) -> None:
    """Raise CouldNotRun if the store's files are not on this machine. Raises StoreError."""
    directory = store.real_dir
    if directory is None:
        raise CouldNotRun(
            f"the store '{store.uri}' has no files on this machine, but a worker reads the outputs that it builds."
            " Run the worker on the machine of the store, with --store daemon."
        )
    if not directory.is_dir():
        store.connect().close()  # Nix creates the directory of a new local store
        if not directory.is_dir():
            raise CouldNotRun(f"{files_elsewhere(directory)}.")


def open_roots(options: Options) -> RootDirectory:
    """Return the directory of our roots: below the roots of an embedded store, else in the state directory."""
    if options.store is not None:
        return RootDirectory(options.state_directory.roots)
    own = EmbeddedStore(options.state_directory.store).directory / "var" / "gcroots" / "hydra-resolver"
    return RootDirectory(own, direct=True)


def store_identity(options: Options) -> str:
    """Return a text that distinguishes stores of one directory: the machine, and the place of the store's database."""
    if options.store is not None:
        return f"{platform.node()} {options.store}"
    return f"{platform.node()} {options.state_directory.store}"
