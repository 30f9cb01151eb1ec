"""A file for each worker process, by which others on its machine notice at once that it has died.

The process holds a lock on its file (``flock``), which the kernel ends with the process. Without that, the claims of a
worker that was killed wait until the lease time has passed.
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
"""A file of another database, or of another boot, is removed after that time, if no process holds it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says: the worker's number, in which database, and since which boot its machine has been up."""

    worker: int
    database: str
    boot: str


class WorkerFiles:
    """The files of the workers that keep their state in `directory`, one of them this process's own.

    `database` names the database as no other one's workers would. Raises OSError where no file can be made or locked.
    """

    def __init__(self, directory: Path, database: str) -> None:
        self._directory = directory
        self._database = database
        self._boot = BOOT_ID.read_text().strip()
        self._path = directory / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._own: IO[str] | None = None
        self._worker = 0

    def hold(self, worker: int) -> None:
        """Say that this process is that worker, as long as it lives; another number may follow."""
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
        """Remove the own file: this process has no claims any more."""
        if self._own is not None:
            self._path.unlink(missing_ok=True)
            self._own.close()

    def bury(self, declare_dead: Callable[[Sequence[int]], int]) -> int:
        """Have workers declared dead whose process has died, and remove their files; returns what that returns.

        Their files are held meanwhile: no other worker declares them dead. If that raises, the files stay.
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
        """The workers that have died, and the files that say nothing any more then.

        A lock tells nothing of a process of another boot: that may be on another machine, and the lock with it. Numbers
        begin anew where the schema was removed and installed again: a worker that lives is not dead.
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
    """What a file says; `None` while it is made, or if it is no worker's file."""
    try:
        return Entry(**json.loads(file.read()))
    except (ValueError, TypeError):
        return None


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
