"""Checks that the inputs of a build were in the store all the time: a collector, or a user, may have deleted some."""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

from ..nix.client import Client
from ..nix.errors import StoreError
from ..nix.store import Store


def vanished(store: Store, client: Client, paths: Set[str], since: int) -> tuple[Set[str], Set[str]]:
    """Return the paths that are not valid any more; and those that were created again after `since`.

    All paths were valid. `since`: nanoseconds since 1970. Recreated paths are found only if the store's files are on
    this machine. If there are any lost or recreated paths, `client` is closed: its Nix has cached their old state.
    Raises ConnectionLost.
    """
    with store.connect() as fresh:
        gone = paths - fresh.query_valid_paths(paths)
    directory = store.real_dir
    made_again = {path for path in paths - gone if directory and _is_younger(directory / path, since)}
    if gone or made_again:
        client.close()
    return gone, made_again


def missing(store: Store, paths: Iterable[str], others: Iterable[str]) -> frozenset[str]:
    """Return the valid paths whose files are missing, if the store's files are on this machine.

    A collector may delete a path before it is valid, and Nix does not check again when it registers the path. `others`
    are valid, too: if none of them has a file either, the store's files are elsewhere, and StoreError is raised.
    """
    directory = store.real_dir
    if directory is None:
        return frozenset()
    lost = frozenset(path for path in paths if not _is_there(directory / path))
    if lost and not any(_is_there(directory / path) for path in others):
        raise StoreError(files_elsewhere(directory))
    return lost


def files_elsewhere(directory: Path) -> str:
    """Return a message for a store whose files are not found, with the remedy."""
    return f"the store's files are not in {directory}: name their directory in the store's URI, as real=DIRECTORY"


def _is_there(file: Path) -> bool:
    try:
        file.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        pass  # an unreadable path is not proven to be missing
    return True


def _is_younger(file: Path, since: int) -> bool:
    try:
        return file.lstat().st_ctime_ns > since
    except OSError:
        return False
