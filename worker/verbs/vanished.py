"""Whether what a build needs was in the store all the time: a collector, or a person, may have taken it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from pathlib import Path

from ..nix.client import Client
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


def missing(store: Store, paths: Iterable[str]) -> frozenset[str]:
    """Those of valid paths whose files are not there, if that can be told on this machine.

    A collector takes what is not valid yet. Nix does not look once more when it registers a path.
    """
    directory = store.real_dir
    return frozenset(path for path in paths if directory and not os.path.lexists(directory / path))


def _is_younger(file: Path, since: int) -> bool:
    try:
        return file.lstat().st_ctime_ns > since
    except OSError:
        return False
