"""Roots of the garbage collector, in a directory of our own.

The collector gets no moment in which it could delete a path before its root exists: the path is added, or protected,
over a connection; then the root is created, and registered with Nix over the same connection. Sources: the Nix manual,
"Garbage Collector Roots"; ``findRoots`` in the source of Nix for files that are roots by their names alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from .client import Client
from .errors import NixError

_TEMPORARY = ".new-"
_UNNAMED_SECONDS = 60.0
_SHARED_SECONDS = 60.0


class RootDirectory:
    """A directory of roots, one for each rooted path, named by the path's base name (or by a given name).

    Nix keeps only the place of a root: a removed file is a removed root. ``path`` is created if it is missing.
    ``direct``: it lies below the store's own ``gcroots``, where a root needs no registration, and needs no target if
    its name is the path's base name. Elsewhere roots are symbolic links.
    """

    def __init__(self, path: str | os.PathLike[str], *, direct: bool = False) -> None:
        self._direct = direct
        self.path = Path(path).resolve()
        self.path.mkdir(parents=True, exist_ok=True)
        self._shared = self.path, 0.0
        """An empty file among the roots, and until when (monotonic) new roots are further names of this file."""

    def add(self, client: Client, base_name: str, name: str | None = None) -> Path:
        """Root a path; return the root. ``client`` must have added or protected the path, and must still be connected.

        Raises :class:`NixError` if Nix refuses the root, ``OSError`` if the file can't be created.
        """
        root = self.path / (name or base_name)
        if self._direct and root.name == base_name:
            self._make_file(root)
            return root
        self._make_link(client.store_dir.render(base_name), root)
        if not self._direct:
            client.add_indirect_root(str(root))
        return root

    def add_many(self, client: Client, base_names: Iterable[str]) -> None:
        """Root several paths. Raises the first :class:`NixError`; the other paths are rooted all the same."""
        if self._direct:
            for base_name in base_names:
                self._make_file(self.path / base_name)
            return
        links = []
        for base_name in base_names:
            link = self.path / base_name
            self._make_link(client.store_dir.render(base_name), link)
            links.append(str(link))
        for answer in client.add_indirect_roots(links):
            if isinstance(answer, NixError):
                raise answer

    def remove(self, name: str) -> bool:
        """Remove a root. Return False if there was none of this name."""
        try:
            (self.path / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def names(self, *, older_than: float = 0.0) -> Iterator[str]:
        """Yield the names of all roots, or of roots older than ``older_than`` seconds, at most a minute late.

        Unnamed links that a killed process left behind are removed.
        """
        now = time.time()
        newest = now - older_than
        if self._direct and older_than:
            newest -= _SHARED_SECONDS  # the time of a file is that of its first name
        for entry in os.scandir(self.path):
            if entry.is_dir(follow_symlinks=False):
                continue
            with contextlib.suppress(FileNotFoundError):
                made = entry.stat(follow_symlinks=False).st_mtime
                if entry.name.startswith(_TEMPORARY):
                    if made <= now - _UNNAMED_SECONDS:
                        self.remove(entry.name)
                elif made <= newest:
                    yield entry.name

    def __contains__(self, name: str) -> bool:
        return os.path.lexists(self.path / name)

    def _make_file(self, root: Path) -> None:
        """Create an empty file: all of one minute are names of one file, since some file systems do this faster."""
        shared, until = self._shared
        try:
            if time.monotonic() < until:
                with contextlib.suppress(OSError):  # it may be removed by now, or have too many names
                    os.link(shared, root)
                    return
            os.close(os.open(root, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            self._shared = root, time.monotonic() + _SHARED_SECONDS
        except FileExistsError:
            pass

    def _make_link(self, target: str, link: Path) -> None:
        try:
            link.symlink_to(target)
            return
        except FileExistsError:
            with contextlib.suppress(OSError):
                if str(link.readlink()) == target:
                    return
        # Never leave a gap without a link: the old one may be the only root of its target.
        temporary = self.path / f"{_TEMPORARY}{secrets.token_hex(8)}"
        temporary.symlink_to(target)
        temporary.replace(link)
