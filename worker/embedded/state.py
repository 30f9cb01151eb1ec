"""The state directory: where the embedded database and store live, and who is using them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import EmbeddedError


def default_state() -> Path:
    """Return the user's: $HYDRA_RESOLVER_STATE, else hydra-resolver in $XDG_STATE_HOME or ~/.local/state."""
    chosen = os.environ.get("HYDRA_RESOLVER_STATE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hydra-resolver"


class StateDirectory:
    """A directory that holds everything the embedded database and store need; made when it is missing.

    Raises EmbeddedError when it can't be made or written.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(os.path.realpath(path if path is not None else default_state()))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(f"the state directory can't be made: {error}. Name another one with --state") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise EmbeddedError(f"the state directory {self.path} is not yours to write: name another one with --state")

    @property
    def postgres(self) -> Path:
        """Where the embedded PostgreSQL cluster is, or a link to it."""
        return self.path / "postgres"

    @property
    def store(self) -> Path:
        """Where the embedded Nix store and its settings are."""
        return self.path / "nix"

    @property
    def logs(self) -> Path:
        """Where build logs are kept, in Hydra's layout."""
        return self.path / "build-logs"

    @property
    def roots(self) -> Path:
        """Where our garbage collector roots are, as links into the store."""
        return self.path / "gcroots"

    @property
    def workers(self) -> Path:
        """Where each worker process has a file, by which others notice that it has died."""
        return self.path / "workers"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other process from starting or stopping the embedded server meanwhile."""
        with (self.path / "server.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def join(self) -> "User":
        """Become a user of the embedded server; call it within exclusive()."""
        return User(self.path / "users.lock")


class User:
    """One process that uses the embedded server: it holds a shared lock, which the kernel ends with the process."""

    def __init__(self, path: Path) -> None:
        self._lock: IO[str] = path.open("a")
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Give up the lock; return whether nobody else holds one. Outside of exclusive() a newcomer would be missed."""
        with self._lock:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
