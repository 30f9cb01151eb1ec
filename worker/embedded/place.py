"""The place of a cluster's files, given the user that its server has to run as.

PostgreSQL refuses to run as root, so for root it runs as `postgres` or `nobody`. Often this user can't enter root's
directories: then the files are under /var/lib, and the state directory holds a link to them.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import EmbeddedError

SHARED_CLUSTERS = Path("/var/lib/hydra-resolver/clusters")
OWNER_FILE = "belongs-to"
SOCKET_NAME = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 107  # bytes: sockaddr_un of Linux without its final zero


@dataclass(frozen=True)
class ServerUser:
    """The user that the server runs as; `switch`: it is another user than ours."""

    uid: int
    gid: int
    switch: bool

    def run(self, command: list[str], stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a program as this user, in a directory that everyone can enter. Raises EmbeddedError if that fails."""
        switch: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}
        try:
            return subprocess.run(
                command,
                cwd="/",
                input=stdin,
                capture_output=True,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                encoding="utf-8",
                errors="replace",
                check=False,
                **switch,
            )
        except OSError as error:
            raise EmbeddedError(f"{command[0]} can't be run as user number {self.uid}: {error}") from error

    def own(self, path: Path) -> None:
        """Give a file or directory to this user, closed to all others."""
        if self.switch:
            os.chown(path, self.uid, self.gid)
        path.chmod(0o700 if path.is_dir() else 0o600)

    def can_write(self, directory: Path) -> bool:
        """Return whether this user can write to a directory, which needs access to every directory above it."""
        return self.run(["test", "-w", str(directory), "-a", "-x", str(directory)]).returncode == 0


def server_user() -> ServerUser:
    """Return the user to run a server as. Raises EmbeddedError if we are root and there is no other user."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid(), switch=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`: add one of them")


def find_place(directory: Path, user: ServerUser) -> Path:
    """Return the directory of the files of the cluster `directory`: itself, or a target under /var/lib it links to.

    The place exists afterwards and belongs to `user`. Raises EmbeddedError if `user` can't use any place.
    """
    linked = directory.is_symlink()
    shared = SHARED_CLUSTERS / hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    try:
        if linked:
            shared = directory.readlink()
            owner = _owner(shared)
            if owner is not None and owner != directory and os.path.realpath(owner) == str(shared):
                raise EmbeddedError(
                    f"{directory.parent} is a copy of {owner.parent}: remove {directory} to start with an empty one"
                )
        else:
            directory.mkdir(parents=True, exist_ok=True)
            user.own(directory)
            if user.can_write(directory):
                return directory
            directory.rmdir()
            SHARED_CLUSTERS.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(shared, ignore_errors=True)  # it belonged to an earlier, removed directory of that name
            directory.symlink_to(shared)
        shared.mkdir(parents=True, exist_ok=True)
        _set_owner(shared, directory)
        user.own(shared)
    except OSError as error:
        raise EmbeddedError(_no_place(directory, user, str(error))) from error
    if not user.can_write(shared):
        raise EmbeddedError(_no_place(directory, user, f"the user can't enter {shared} either"))
    return shared


def _owner(shared: Path) -> Path | None:
    """Return the directory that a cluster under /var/lib was made for; None if it is not recorded."""
    try:
        text = (shared / OWNER_FILE).read_text()
    except OSError:
        return None
    return Path(text) if text else None


def _set_owner(shared: Path, directory: Path) -> None:
    """Write the owner file in one step: a process that reads half of it would take the cluster for an orphan."""
    if _owner(shared) != directory:
        new = shared / f"{OWNER_FILE}.{os.getpid()}"
        new.write_text(str(directory))
        new.replace(shared / OWNER_FILE)


def _no_place(directory: Path, user: ServerUser, reason: str) -> str:
    """Return a message for a server user that has no place to write."""
    name = pwd.getpwuid(user.uid).pw_name
    return (
        f"the database server runs as user {name}, which can't enter {directory.parent}; {reason}. "
        "Name a directory that this user can enter with --state"
    )


def orphans() -> list[Path]:
    """Return the clusters under /var/lib whose state directory was removed, or does not link to them any more."""
    clusters = [(shared, _owner(shared)) for shared in SHARED_CLUSTERS.glob("*/")]
    return [shared for shared, owner in clusters if owner is not None and os.path.realpath(owner) != str(shared)]


def socket_directory(place: Path, user: ServerUser) -> Path:
    """Return a private directory of `user` for the server's socket, at a path that is short enough."""
    inside = place / "socket"
    if len(os.fsencode(inside / SOCKET_NAME)) <= MAX_SOCKET_PATH:
        inside.mkdir(exist_ok=True)
        user.own(inside)
        return inside
    record = place / "socket-directory"
    if record.exists():
        recorded = Path(record.read_text())
        # /tmp may have been cleared, and another user may have taken the name since.
        if recorded.is_dir() and not recorded.is_symlink() and recorded.stat().st_uid == user.uid:
            return recorded
    made = Path(tempfile.mkdtemp(prefix="hydra-resolver-", dir="/tmp"))
    user.own(made)
    record.write_text(str(made))
    return made
