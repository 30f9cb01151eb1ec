"""Access to one Nix store.

Source: the Nix manual, "Store Types", for store URIs and their parameters.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from .aterm import parse_derivation
from .client import Client
from .derivation import Derivation
from .errors import ConnectionLost, NixError, NixNotFound, StoreError
from .protocol.transport import ProcessTransport, SocketTransport, Transport
from .settings import BuildSettings, parse_settings
from .store_path import InvalidStorePath, StoreDir, derivation_name
from .version import NixVersion, parse_nix_version

_DEFAULT_STATE_DIR = "/nix/var/nix"
"""The directory of Nix's database and socket, unless NIX_STATE_DIR names another."""
_QUESTION_SECONDS = 60
"""How long a Nix program may take to answer a question about itself."""


@dataclass(frozen=True)
class Store:
    """A store: its URI as Nix's ``--store`` takes it, and the environment of Nix's programs.

    Without a URI the environment decides (``NIX_REMOTE``, ``NIX_STORE_DIR`` and the like). ``directory``: the store
    directory, if the caller knows it. Answers of Nix are cached. A query to Nix raises :class:`StoreError` if it fails,
    :class:`NixNotFound` if there is no Nix on PATH.
    """

    uri: str = ""
    environment: Mapping[str, str] | None = None
    directory: str | None = None
    _version: NixVersion | None = field(default=None, init=False, repr=False, compare=False)

    @cached_property
    def env(self) -> dict[str, str]:
        """The environment of Nix's programs."""
        return dict(os.environ if self.environment is None else self.environment)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments that make Nix's programs use this store."""
        return ("--store", self.uri) if self.uri else ()

    @cached_property
    def store_dir(self) -> StoreDir:
        """The store directory, as store paths contain it."""
        if self.directory is not None:
            return StoreDir(self.directory)
        answer = self._ask("nix-instantiate", "--eval", "--json", "-E", "builtins.storeDir")
        return StoreDir(answer.strip().strip('"'))

    @cached_property
    def real_dir(self) -> Path | None:
        """The directory of the store's files on this machine; ``None`` for a store elsewhere.

        Nix has the files below a root in its ``nix/store``, whatever the store directory is (``realStoreDir`` of
        ``LocalFSStoreConfig`` in the source of Nix).
        """
        scheme, place, parameters = _split_uri(self.uri or self.env.get("NIX_REMOTE", ""))
        if real := parameters.get("real"):
            return Path(real)
        if root := parameters.get("root", place if scheme == "local" else ""):
            return Path(root) / "nix" / "store"
        if scheme in ("", "auto", "local", "daemon", "unix"):
            return Path(self.store_dir.path)
        return None

    @property
    def nix_version(self) -> NixVersion:
        """The version of the Nix that serves the store, as the last connection reported it."""
        if self._version is None:
            self.connect().close()
        assert self._version is not None
        return self._version

    @cached_property
    def settings(self) -> BuildSettings:
        """The operator's settings for builds."""
        return parse_settings(
            self._ask("nix", "--extra-experimental-features", "nix-command", "config", "show", "--json")
        )

    def connect(self) -> Client:
        """Open a connection. Raises :class:`ConnectionLost` or :class:`ProtocolError`."""
        # Query the directory first: two programs that open a new store at once may find its database busy.
        store_dir = self.store_dir
        client = Client(self._transport(), store_dir)
        object.__setattr__(self, "_version", self._version_told_by(client))
        return client

    def _version_told_by(self, client: Client) -> NixVersion:
        try:
            return client.nix_version
        except ValueError:
            return self._version or parse_nix_version(self._run("nix", "--version"))

    def full_path(self, base_name: str) -> str:
        """Return the full path of a base name, as Nix writes it."""
        return self.store_dir.render(base_name)

    def real_path(self, base_name: str) -> Path:
        """Return the place of a store path on this machine. Raises :class:`StoreError` for a store elsewhere."""
        if self.real_dir is None:
            raise StoreError(f"the store '{self.uri}' has no directory on this machine")
        return self.real_dir / base_name

    def read_derivation_text(self, drv_path: str, client: Client | None = None) -> bytes:
        """Return the content of a ``.drv`` (a base name): its file, or through Nix (``client``, else a new connection).

        Raises :class:`NixError` if it is not in the store, or can't be read; through Nix, also :class:`ConnectionLost`
        and :class:`ProtocolError`.
        """
        if self.real_dir is not None:
            try:
                return (self.real_dir / drv_path).read_bytes()
            except OSError:
                client = None  # Nix may reach the file, or has a better message
        if client is not None:
            return self._read_through(client, drv_path)
        with self.connect() as fresh:
            try:
                return self._read_through(fresh, drv_path)
            except ConnectionLost as error:
                # If the file of a valid path is lost, Nix ends the connection; this one is not the caller's.
                raise NixError(0, f"the file '{self.full_path(drv_path)}' is lost: {error}") from None

    def _read_through(self, client: Client, drv_path: str) -> bytes:
        # Check first: for an invalid path, Nix ends the connection.
        if not client.query_valid_paths([drv_path]):
            raise NixError(0, f"'{self.full_path(drv_path)}' is not in the store")
        return client.read_file(drv_path)

    def read_derivation(self, drv_path: str, client: Client | None = None) -> Derivation:
        """Return a parsed ``.drv`` (a base name).

        Raises :class:`InvalidStorePath` if it is not named like a derivation, :class:`MalformedDerivation` if its
        content is not one, and as :meth:`read_derivation_text` does.
        """
        name = derivation_name(drv_path)
        return parse_derivation(self.read_derivation_text(drv_path, client), name, self.store_dir)

    def base_name(self, path: str) -> str:
        """Return the base name of a path from a user: full, or its base name. Raises :class:`InvalidStorePath`."""
        text = path.rstrip("/")
        if "/" not in text:
            return self.store_dir.parse(self.store_dir.prefix + text)
        try:
            return self.store_dir.parse(text)
        except InvalidStorePath:
            if self.real_dir is not None and Path(text).parent == self.real_dir:
                return self.store_dir.parse(self.store_dir.prefix + Path(text).name)
            raise

    def _transport(self) -> Transport:
        scheme, place, _ = _split_uri(self.uri)
        if scheme == "unix" and place:
            return SocketTransport(place)
        if scheme in ("daemon", "unix"):
            state = self.env.get("NIX_STATE_DIR") or _DEFAULT_STATE_DIR
            return SocketTransport(self.env.get("NIX_DAEMON_SOCKET_PATH") or f"{state}/daemon-socket/socket")
        return ProcessTransport(self.env, self.arguments)

    def _ask(self, program: str, *arguments: str) -> str:
        return self._run(program, *arguments, *self.arguments)

    def _run(self, program: str, *arguments: str) -> str:
        found = shutil.which(program, path=self.env.get("PATH"))
        if found is None:
            raise NixNotFound(program)
        try:
            process = subprocess.run(
                [found, *arguments],
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_QUESTION_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StoreError(f"'{program}' did not answer within {_QUESTION_SECONDS} s") from None
        if process.returncode != 0:
            raise StoreError(f"'{program}' failed: {process.stderr.strip() or process.returncode}")
        return process.stdout


def _split_uri(uri: str) -> tuple[str, str, dict[str, str]]:
    """Split a store URI into scheme, place and parameters: ``unix:///s``, ``daemon``, ``local?root=/r``, ``/r``.

    As in Nix, of a repeated parameter the first counts, and a plus sign is not a blank.
    """
    rest, _, query = uri.partition("?")
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
    parameters = dict(reversed(pairs))
    if rest.startswith(("/", "./")):
        return "local", str(Path(rest).absolute()), parameters
    scheme, separator, place = rest.partition("://")
    return (scheme, unquote(place), parameters) if separator else (rest, "", parameters)
