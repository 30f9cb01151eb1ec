"""A Nix store of our own that needs no privileges, no namespaces and no daemon.

Its store directory is not /nix/store, and is part of every path's hash: its paths differ from those of other stores.
"""

import fcntl
import json
import os
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path

from .errors import EmbeddedError
from .tools import nix_bin, output_of

# Features for content-addressed, dynamic and impure derivations, for recursive Nix, and for the `nix` command itself.
FEATURES = (
    "ca-derivations",
    "dynamic-derivations",
    "git-hashing",
    "impure-derivations",
    "nix-command",
    "recursive-nix",
)

# Settings of a user's or system's Nix that would lead programs to another store.
_FOREIGN = ("NIX_BUILD_HOOK", "NIX_DAEMON_SOCKET_PATH", "NIX_REMOTE_SYSTEMS", "NIX_STORE")


class EmbeddedStore:
    """A store in `directory`; prepare() creates it, and can be called again."""

    def __init__(self, directory: Path) -> None:
        # Nix refuses a store directory whose path has a symbolic link in it.
        self.directory = Path(os.path.realpath(directory))

    @property
    def store_dir(self) -> Path:
        """The store directory, in place of /nix/store."""
        return self.directory / "store"

    @property
    def log_dir(self) -> Path:
        """The directory of Nix's own build logs."""
        return self.directory / "log"

    @cached_property
    def programs(self) -> Path:
        """The directory of the programs of this Nix. Raises EmbeddedError."""
        return nix_bin()

    def environment(self) -> dict[str, str]:
        """Return the variables that make Nix's programs use this store, to be added to others."""
        return {
            "NIX_STORE_DIR": str(self.store_dir),
            "NIX_STATE_DIR": str(self.directory / "var"),
            "NIX_LOG_DIR": str(self.log_dir),
            "NIX_CONF_DIR": str(self.directory / "etc"),
            "NIX_REMOTE": "local",
            "NIX_CONFIG": "",
            "NIX_USER_CONF_FILES": "",
        }

    def child_environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a whole environment: `base` (default: this process's), without settings of another Nix, with ours.

        A TMPDIR that does not exist is left out too: Nix's programs fail with one.
        """
        inherited = dict(os.environ if base is None else base)
        dropped = {*_FOREIGN} if Path(inherited.get("TMPDIR", "/")).is_dir() else {*_FOREIGN, "TMPDIR"}
        return {name: value for name, value in inherited.items() if name not in dropped} | self.environment()

    def prepare(self) -> None:
        """Create the directories, and write nix.conf for this Nix. Raises EmbeddedError."""
        try:
            for name in ("store", "var", "log", "etc", "builds"):
                (self.directory / name).mkdir(parents=True, exist_ok=True)
            settings = self.directory / "etc" / "nix.conf"
            old = settings.read_text() if settings.exists() else ""
            if (wanted := self._nix_conf(old)) != old:
                new = settings.with_name(f"nix.conf.{os.getpid()}")  # another process may read it at this moment
                new.write_text(wanted)
                new.replace(settings)
            self._make_database()
        except OSError as error:
            raise EmbeddedError(
                f"the embedded store can't be made: {error}. Name another place with --state"
            ) from error

    def _make_database(self) -> None:
        """Let Nix create its database, if it is missing: if two programs do so at once, one of them fails."""
        made = self.directory / "var" / "db" / "schema"
        if made.exists():
            return
        with (self.directory / "etc" / "database.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                output_of([self.programs / "nix-store", "--init"], env=self.environment())

    def _nix_conf(self, old: str) -> str:
        """Return the whole file. Its first line caches the features of this Nix, so that later calls need not ask."""
        nix = (self.programs / "nix").resolve()
        asked = f"# Features known to {nix} of {nix.stat().st_mtime_ns}:"
        first = old.partition("\n")[0]
        if first.startswith(asked):
            known = first.removeprefix(asked).split()
        else:
            known = list(json.loads(output_of([nix, "__dump-xp-features"], env=self.environment())))
        lines = [" ".join([asked, *known])]
        lines += [f"{name} = {value}".rstrip() for name, value in self._settings(known).items()]
        return "\n".join(lines) + "\n"

    def _settings(self, known: Collection[str]) -> dict[str, str]:
        return {
            "experimental-features": " ".join(feature for feature in FEATURES if feature in known),
            "extra-system-features": "recursive-nix",
            "build-users-group": "",  # one user owns everything, even if it is root
            "build-dir": str(self.directory / "builds"),  # the user's TMPDIR may not exist
            "sandbox": "false",
            "substituters": "",  # without a network every build would wait for name look-ups
        }
