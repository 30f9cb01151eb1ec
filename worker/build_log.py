"""The log of one step, where Hydra's web pages look for it.

Source: ``getDrvLogPath`` in the source of Hydra: ``<two characters>/<the rest>`` of the base name of the derivation.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from .nix.store_path import check_base_name

DEFAULT_LIMIT = 64 << 20
"""Bytes of a log, if no other limit is given: the default of Hydra."""


def log_path(directory: Path, drv: str) -> Path:
    """Return the absolute path of the log of a derivation (a base name) below the log directory.

    Raises :class:`InvalidStorePath`.
    """
    check_base_name(drv)
    return directory.absolute() / drv[:2] / drv[2:]


class BuildLog:
    """The log of one attempt. Each line is in the file when :meth:`write_line` returns. One thread uses a log.

    A log is a new file and replaces the file of an earlier attempt; a process that has the old file open keeps that
    file. ``limit`` is in bytes, 0 for none. Every method raises ``OSError`` if the file system refuses, such as when
    the disk is full.
    """

    def __init__(self, directory: Path, drv: str, *, limit: int = DEFAULT_LIMIT) -> None:
        """Create the file. Raises :class:`InvalidStorePath` for ``drv`` (a base name), ``OSError``."""
        place = log_path(directory, drv)
        self.path = str(place)
        """The absolute path of the file."""
        self.limit = limit
        self.size = 0
        """Bytes written so far."""
        self.exceeded = False
        """Whether the build wrote more than the limit allows. Further lines are not written."""
        place.parent.mkdir(parents=True, exist_ok=True)
        self._file = _create(place)

    def __enter__(self) -> BuildLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write_line(self, line: bytes) -> bool:
        """Append a line (without its end). Return False if the limit is exceeded: the caller has to end the build.

        The line that exceeds the limit is left out; the last line of the file says so. Raises ``OSError``, also if the
        log is closed; after an error, the file may have a part of the line.
        """
        if self.exceeded:
            return False
        if self.limit and self.size + len(line) + 1 > self.limit:
            self.exceeded = True
            self._write(b"[the log is longer than the limit of %d bytes: the rest is left out]\n" % self.limit)
            return False
        self._write(line + b"\n")
        return True

    def close(self) -> None:
        """End the log. Closing twice does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.write(self._file, rest)
            self.size += written
            rest = rest[written:]


def _create(place: Path) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        # A process of an earlier attempt that was taken for dead may create the file at the same moment.
        with contextlib.suppress(FileExistsError):
            return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
