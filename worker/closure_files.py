"""Read access to the files of an untrusted closure: no link leads out of the closure.

Source: the Nix manual, "Store Path" and "File System Object".
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence, Set
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from .nix.store import Store

LINK_LIMIT = 40
"""Symbolic links on the way to one file, as in Linux."""


class Content(NamedTuple):
    """Size in bytes and sha256 in base 16 of a regular file; ``None`` for a directory."""

    size: int | None
    sha256: str | None


class ClosureFiles:
    """The files of some store paths (base names), wherever the store is on this machine.

    A place is a sequence of names below the store directory; the first name is a base name. Links are followed as the
    builder meant them: their targets have the store directory of store paths. A file that can't be read counts as
    missing: methods raise nothing but :class:`StoreError`, for a store that has no directory on this machine.
    """

    def __init__(self, store: Store, closure: Set[str]) -> None:
        self.prefix = store.store_dir.prefix
        self._root = _names(self.prefix.encode())
        self._store = store
        self._closure = closure
        self._contents: dict[Path, Content | None] = {}

    def parts_of(self, path: str) -> tuple[str, ...]:
        """Return the place of a full path, without ``.`` and ``..``; empty if it is not below the store directory.

        As in Hydra, ``..`` removes the name before it, even if that name is a link.
        """
        names: list[bytes] = []
        for name in _names(path.encode()):
            if name == b"..":
                del names[-1:]
            else:
                names.append(name)
        below = _below(self._root, names) if path.startswith("/") else None
        return tuple(name.decode() for name in below or ())

    def has_entry(self, directory: Sequence[str], name: str) -> bool:
        """Return whether a directory has an entry of that name; a link to nowhere counts."""
        found = self._locate(directory)
        return found is not None and os.path.lexists(found / name)

    def is_directory(self, place: Sequence[str]) -> bool:
        """Return whether there is a directory at this place."""
        found = self._locate(place)
        return found is not None and os.path.isdir(found)  # noqa: PTH112 - never raises

    def read(self, place: Sequence[str], limit: int) -> bytes | None:
        """Return the content of a regular file; if longer than ``limit`` bytes, the whole lines within the limit."""
        found = self._locate(place)
        if found is None:
            return None
        try:
            with _open_regular(found) as stream:
                text = stream.read(limit + 1)
        except OSError:
            return None
        return text if len(text) <= limit else text[: text.rfind(b"\n", 0, limit) + 1]

    def content(self, place: Sequence[str]) -> Content | None:
        """Return size and hash of a regular file, which is read once; both are ``None`` for a directory."""
        found = self._locate(place)
        if found is None:
            return None
        if found not in self._contents:
            self._contents[found] = _content(found)
        return self._contents[found]

    def _locate(self, place: Sequence[str]) -> Path | None:
        """Return the real path of a place, all links followed; ``None`` if a link leaves the closure or is dead."""
        todo = [name.encode() for name in reversed(place)]
        done: list[bytes] = []
        links = 0
        while todo:
            name = todo.pop()
            if name == b"..":
                if not done:
                    return None
                done.pop()
                continue
            done.append(name)
            try:
                real = self._real(done)
                target = os.fsencode(real.readlink()) if stat.S_ISLNK(real.lstat().st_mode) else None
            except (OSError, KeyError):
                return None
            if target is None:
                continue
            links += 1
            names: Sequence[bytes] | None = _names(target)
            done.pop()
            if target.startswith(b"/"):
                names = _below(self._root, _names(target))
                done.clear()
            if names is None or links > LINK_LIMIT:
                return None
            todo += reversed(names)
        return self._real(done) if done else None

    def _real(self, place: Sequence[bytes]) -> Path:
        """Return the real path of a place without links. Raises ``KeyError`` outside of the closure."""
        base_name, *rest = map(os.fsdecode, place)
        if base_name not in self._closure:
            raise KeyError(base_name)
        return self._store.real_path(base_name).joinpath(*rest)


def _names(path: bytes) -> list[bytes]:
    return [name for name in path.split(b"/") if name not in (b"", b".")]


def _below(root: Sequence[bytes], names: Sequence[bytes]) -> Sequence[bytes] | None:
    return names[len(root) :] if names[: len(root)] == root else None


def _open_regular(path: Path) -> BufferedReader:
    """Open a regular file. Raises ``OSError`` for any other kind of file."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(f"'{path}' is no regular file")
        return os.fdopen(file, "rb")
    except OSError:
        os.close(file)
        raise


def _content(path: Path) -> Content | None:
    try:
        if path.is_dir():
            return Content(None, None)
        with _open_regular(path) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return Content(stream.tell(), digest)
    except OSError:
        return None
