"""The state directory: it holds the embedded database and store, and the locks of the processes that use them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import EmbeddedError


def default_state() -> Path:
    """Return the user's state directory: $HYDRA_RESOLVER_STATE, else hydra-resolver in $XDG_STATE_HOME or
    ~/.local/state.
    """
    chosen = os.environ.get("HYDRA_RESOLVER_STATE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hydra-resolver"


class StateDirectory:
    """The directory of the embedded database and store; it is created if it is missing.

    Raises EmbeddedError if it can't be created or written.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(os.path.realpath(path if path is not None else default_state()))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(f"the state directory can't be made: {error}. Name another one with --state") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise EmbeddedError(f"the state directory {self.path} can't be written: name another one with --state")

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL cluster, or a link to it."""
        return self.path / "postgres"

    @property
    def store(self) -> Path:
        """The embedded Nix store and its settings."""
        return self.path / "nix"

    @property
    def logs(self) -> Path:
        """Build logs, in Hydra's layout."""
        return self.path / "build-logs"

    @property
    def roots(self) -> Path:
        """Our garbage collector roots, as links into the store."""
        return self.path / "gcroots"

    @property
    def workers(self) -> Path:
        """A file for each worker process, by which other workers notice that the process has died."""
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
    """One process that uses the embedded server: it holds a shared lock, which the kernel releases with the process."""

    def __init__(self, path: Path) -> None:
        self._lock: IO[str] = path.open("a")
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Release the lock; return whether it was the last. Call it within exclusive(), else new users are missed."""
        with self._lock:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
