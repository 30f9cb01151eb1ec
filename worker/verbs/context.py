"""The environment of the verbs: one store, our roots in it, the log directory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..build_log import DEFAULT_LIMIT
from ..nix.client import Client
from ..nix.closure import PathInfos
from ..nix.derivation import Derivation
from ..nix.roots import RootDirectory
from ..nix.store import Store
from ..outputs import DEFAULT_OUTPUT_LIMIT
from .write_queue import WriteQueue

CACHED_DERIVATIONS = 4096


@dataclass(frozen=True, slots=True)
class Context:
    """Settings and caches that all threads of a worker share.

    `trust_store`: whether recorded realisations of the store are trusted; any user of a shared daemon could have
    registered them. `max_log_size`: bytes of the log of one build, 0 for no limit. `max_output_size`: bytes of all
    outputs of one build, 0 for no limit. `remote`: whether remote builders are used.
    """

    store: Store
    roots: RootDirectory
    logs: Path
    trust_store: bool
    max_log_size: int = DEFAULT_LIMIT
    max_output_size: int = DEFAULT_OUTPUT_LIMIT
    remote: bool = True
    derivations: DerivationCache = field(init=False)
    turn: WriteQueue = field(init=False, default_factory=WriteQueue)

    def __post_init__(self) -> None:
        object.__setattr__(self, "derivations", DerivationCache(self.store))

    def too_large(self, infos: PathInfos, paths: Iterable[str]) -> str | None:
        """Return why the valid outputs of one derivation are too large; `None`: they are not."""
        if not self.max_output_size:
            return None
        size = sum(info.nar_size for info in infos.get_many(paths).values())
        if size <= self.max_output_size:
            return None
        return f"the outputs have {size} bytes, and may have {self.max_output_size}"


class DerivationCache:
    """The last few thousand parsed derivations: loaded ones are soon resolved, and resolved ones are soon built."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._derivations: dict[str, Derivation] = {}

    def get(self, drv: str, client: Client) -> Derivation:
        """Return the derivation in the file `drv` (a base name). Raises as `Store.read_derivation` does."""
        found = self._derivations.get(drv)
        if found is None:
            found = self._store.read_derivation(drv, client)
            self.put(drv, found)
        return found

    def __contains__(self, drv: str) -> bool:
        return drv in self._derivations

    def put(self, drv: str, derivation: Derivation) -> None:
        """Cache a derivation."""
        with self._lock:
            while len(self._derivations) >= CACHED_DERIVATIONS:
                del self._derivations[next(iter(self._derivations))]
            self._derivations[drv] = derivation


Withdraw = Callable[[Iterable[str]], int]
"""Reports to the database that store paths are lost; returns how many of them it knew."""


def withdraw_lost(drv: str, client: Client, withdraw: Withdraw) -> bool:
    """If an unreadable .drv is gone, withdraw it; return whether the database knew it, as an output of a builder."""
    return not client.query_valid_paths([drv]) and withdraw([drv]) > 0
