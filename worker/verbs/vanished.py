"""Whether what a build needs was in the store all the time: a collector, or a person, may have taken it."""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

from ..nix.client import Client
from ..nix.errors import StoreError
from ..nix.store import Store


def vanished(store: Store, client: Client, paths: Set[str], since: int) -> tuple[Set[str], Set[str]]:
    """Of these paths, which were valid: those that are not any more; and those that were made again after `since`.

    `since`: nanoseconds since 1970. What was made again is only seen where the store's files are on this machine.
    `client` is closed if there are any: its Nix goes by what it remembers of them.
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
    """Those of valid paths whose files are not there, if that can be told on this machine.

    A collector takes what is not valid yet. Nix does not look once more when it registers a path. `others` are valid
    as well: if none of these has a file either, the store's files are elsewhere. Raises StoreError then.
    """
    directory = store.real_dir
    if directory is None:
        return frozenset()
    lost = frozenset(path for path in paths if not _is_there(directory / path))
    if lost and not any(_is_there(directory / path) for path in others):
        raise StoreError(files_elsewhere(directory))
    return lost


def files_elsewhere(directory: Path) -> str:
    """What is wrong where the files of a store are not found, and what to do."""
    return f"the store's files are not in {directory}: name their directory in the store's URI, as real=DIRECTORY"


def _is_there(file: Path) -> bool:
    try:
        file.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        pass  # that it can't be looked at does not say that it is gone
    return True


def _is_younger(file: Path, since: int) -> bool:
    try:
        return file.lstat().st_ctime_ns > since
    except OSError:
        return False
