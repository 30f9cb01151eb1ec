"""Sizes of closures.

Source: the Nix manual, "Closure"; the size of a path is that of its NAR.
"""

from __future__ import annotations

from collections.abc import Iterable

from .client import Client
from .errors import NixError
from .path_info import PathInfo


class InvalidPath(NixError):
    """A path is not in the store."""

    def __init__(self, path: str) -> None:
        super().__init__(0, f"path '{path}' is not valid")
        self.path = path


class PathInfos:
    """Infos of valid paths, each queried once. If the connection protects the paths, the infos can't become stale."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._infos: dict[str, PathInfo] = {}

    def get(self, path: str) -> PathInfo:
        """Return the info of a path. Raises :class:`InvalidPath`."""
        return self.get_many([path])[path]

    def get_many(self, paths: Iterable[str], *, protect: bool = False) -> dict[str, PathInfo]:
        """Return the infos of paths, perhaps protected first. Raises :class:`InvalidPath` for an invalid one."""
        wanted = list(dict.fromkeys(paths))
        unknown = [path for path in wanted if protect or path not in self._infos]
        for path, answer in zip(unknown, self._client.query_path_infos(unknown, protect=protect), strict=True):
            if isinstance(answer, NixError):
                raise answer
            if answer is None:
                raise InvalidPath(path)
            self._infos[path] = answer
        return {path: self._infos[path] for path in wanted}

    def closure(self, paths: Iterable[str]) -> dict[str, PathInfo]:
        """Return the infos of paths and of all their references, direct or not."""
        found: dict[str, PathInfo] = {}
        front = set(paths)
        while front:
            infos = self.get_many(sorted(front))
            found.update(infos)
            front = {reference for info in infos.values() for reference in info.references} - found.keys()
        return found

    def closure_size(self, paths: Iterable[str]) -> int:
        """Return the sum of the NAR sizes of a closure, in bytes."""
        return sum(info.nar_size for info in self.closure(paths).values())
