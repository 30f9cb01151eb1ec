"""A file for each worker process, by which other workers on its machine notice at once that it has died.

The process holds a lock on its file (``flock``), which the kernel releases with the process. Without the file, the
claims of a killed worker stay until the lease time has passed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FORGOTTEN_SECONDS = 7 * 86400.0
"""A file of another database, or of another boot, is removed after this time, if no process holds it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of a file: the worker's number, its database, and the boot of its machine."""

    worker: int
    database: str
    boot: str


class WorkerFiles:
    """The files of the workers that keep their state in `directory`, one of them this process's own.

    `database` is a unique name of the database. Raises OSError if a file can't be created or locked.
    """

    def __init__(self, directory: Path, database: str) -> None:
        self._directory = directory
        self._database = database
        self._boot = BOOT_ID.read_text().strip()
        self._path = directory / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._own: IO[str] | None = None
        self._worker = 0

    def hold(self, worker: int) -> None:
        """Record that this process is that worker, as long as it lives; a later call may change the number."""
        if self._own is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            file = self._path.open("w")
            fcntl.flock(file, fcntl.LOCK_EX)
            self._own = file
        self._worker = worker
        text = json.dumps(asdict(Entry(worker, self._database, self._boot)))
        os.pwrite(self._own.fileno(), text.encode(), 0)
        os.ftruncate(self._own.fileno(), len(text))

    def leave(self) -> None:
        """Remove the file of this process, which has no claims any more."""
        if self._own is not None:
            self._path.unlink(missing_ok=True)
            self._own.close()

    def bury(self, declare_dead: Callable[[Sequence[int]], int]) -> int:
        """Declare workers dead whose process has died, and remove their files; return the result of `declare_dead`.

        Their files are locked meanwhile, so no other worker declares them dead. If `declare_dead` raises, files stay.
        """
        alive: list[Entry | None] = [Entry(self._worker, self._database, self._boot)]
        abandoned: dict[Path, Entry | None] = {}
        with ExitStack() as opened:
            for path in self._directory.glob("*.json"):
                if path == self._path:
                    continue
                with suppress(OSError):  # removed by another worker, or of another user
                    file = opened.enter_context(path.open("r+"))
                    if _lock(file):
                        abandoned[path] = _read(file)
                    else:
                        alive.append(_read(file))
            dead, removable = self._decide(abandoned, alive)
            declared = declare_dead(sorted(dead)) if dead else 0
            for path in removable:
                path.unlink(missing_ok=True)
        return declared

    def _decide(
        self, abandoned: Mapping[Path, Entry | None], alive: Iterable[Entry | None]
    ) -> tuple[set[int], set[Path]]:
        """Return the workers that have died, and the files that are then useless.

        A lock proves nothing about a process of another boot, which may run on another machine. After the schema was
        removed and installed again, numbers start again: the number of a living worker is not dead.
        """
        ours = {path for path, entry in abandoned.items() if entry and self._is_ours(entry)}
        dead = {entry.worker for path in ours if (entry := abandoned[path])}
        dead -= {entry.worker for entry in alive if entry and entry.database == self._database}
        oldest = time.time() - FORGOTTEN_SECONDS
        return dead, ours | {path for path in abandoned.keys() - ours if _made(path) < oldest}

    def _is_ours(self, entry: Entry) -> bool:
        return (entry.database, entry.boot) == (self._database, self._boot)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: IO[str]) -> Entry | None:
    """Return the content of a file; `None` if it is being written, or is no worker's file."""
    try:
        return Entry(**json.loads(file.read()))
    except (ValueError, TypeError):
        return None


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
