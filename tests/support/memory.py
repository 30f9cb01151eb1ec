"""A directory in memory for the files of a whole run, if there is room for it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED = 4 << 30  # bytes: twice the most that a whole run has at any time
NAME = "hydra-resolver-tests-"
_UNLOCKED = "hydra-resolver-new-"


@contextmanager
def directory_in_memory() -> Iterator[Path | None]:
    """Make a directory that is removed in the end; None if memory is short or programs cannot run from there.

    Tests make and remove hundreds of thousands of files of clusters, databases and stores. On some file systems that
    takes longer than everything else in the tests.
    """
    _remove_abandoned()
    if not _has_room():
        yield None
        return
    new = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=MEMORY))
    new.chmod(0o755)
    lock = os.open(new, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    directory = new.rename(MEMORY / new.name.replace(_UNLOCKED, NAME))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _remove_abandoned() -> None:
    """Remove the directories of runs that were killed: no process holds their locks."""
    for directory in MEMORY.glob(f"{NAME}*"):
        with suppress(OSError):
            lock = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)


def _has_room() -> bool:
    try:
        here = os.statvfs(MEMORY)
    except OSError:
        return False
    if here.f_flag & os.ST_NOEXEC or not os.access(MEMORY, os.W_OK):
        return False
    return min(here.f_bavail * here.f_frsize, _available()) >= NEEDED


def _available() -> int:
    """The bytes of memory that are free or can be freed at once: on this machine, and in this control group."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    found = int(lines["MemAvailable"].split()[0]) * 1024
    groups = Path("/sys/fs/cgroup")
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # there is no control group of this kind, or it has no limit
            found = min(found, int((groups / most).read_text()) - int((groups / used).read_text()))
    return found
