"""Roots of the garbage collector, as symbolic links in a directory of our own.

A root is made without a moment in which the collector could take the path: the path is added, or protected, over a
connection; then the link is made and Nix is told of it over the same connection. Source: the Nix manual, "Garbage
Collector Roots".
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


class RootDirectory:
    """A directory of links, one for each rooted path, named by the path's base name (or by a name that is given).

    Nix keeps no more than the place of a link: to remove the link is to remove the root. ``path`` is made if need be.
    ``direct``: it lies below the store's own ``gcroots``, where every link is a root without Nix being told.
    """

    def __init__(self, path: str | os.PathLike[str], *, direct: bool = False) -> None:
        self._direct = direct
        self.path = Path(path).resolve()
        self.path.mkdir(parents=True, exist_ok=True)

    def add(self, client: Client, base_name: str, name: str | None = None) -> Path:
        """Root a path; the link. ``client`` must have added or protected it, and must still be connected.

        Raises :class:`NixError` when Nix refuses the root, ``OSError`` when the link can't be made.
        """
        link = self.path / (name or base_name)
        self._link(client, base_name, link)
        if not self._direct:
            client.add_indirect_root(str(link))
        return link

    def add_many(self, client: Client, base_names: Iterable[str]) -> None:
        """Root several paths. Raises the first :class:`NixError`; the others are rooted all the same."""
        links = []
        for base_name in base_names:
            link = self.path / base_name
            self._link(client, base_name, link)
            links.append(str(link))
        if self._direct:
            return
        for answer in client.add_indirect_roots(links):
            if isinstance(answer, NixError):
                raise answer

    def remove(self, name: str) -> bool:
        """Give up a root. False when there was none of this name."""
        try:
            (self.path / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def names(self, *, older_than: float = 0.0) -> Iterator[str]:
        """The names of all roots that were made at least ``older_than`` seconds ago."""
        newest = time.time() - older_than
        for entry in os.scandir(self.path):
            if entry.name.startswith(_TEMPORARY) or not entry.is_symlink():
                continue
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime <= newest:
                    yield entry.name

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_symlink()

    def _link(self, client: Client, base_name: str, link: Path) -> None:
        target = client.store_dir.render(base_name)
        try:
            link.symlink_to(target)
            return
        except FileExistsError:
            with contextlib.suppress(OSError):
                if str(link.readlink()) == target:
                    return
        # Never without a link: the old one may be the only root of what it points to.
        temporary = self.path / f"{_TEMPORARY}{secrets.token_hex(8)}"
        temporary.symlink_to(target)
        temporary.replace(link)
