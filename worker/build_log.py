"""The log of one step, where Hydra's web pages look for it.

Source: ``getDrvLogPath`` in the source of Hydra: ``<two characters>/<the rest>`` of the derivation's base name.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from .nix.store_path import check_base_name

DEFAULT_LIMIT = 64 << 20
"""Bytes of a log, unless told otherwise: Hydra's default."""


def log_path(directory: Path, drv: str) -> Path:
    """Where the log of a derivation (a base name) is below the log directory; absolute.

    Raises :class:`InvalidStorePath`.
    """
    check_base_name(drv)
    return directory.absolute() / drv[:2] / drv[2:]


class BuildLog:
    """The log of one attempt. Each line is in the file when :meth:`write_line` returns. One thread uses it.

    It is a new file in the place of an earlier attempt's: whoever still reads or writes that one keeps it. ``limit`` is
    in bytes, 0 for none. Everything raises ``OSError`` when the file system refuses, such as when the disk is full.
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
        """Whether there was more than the limit allows. Nothing is written any more."""
        place.parent.mkdir(parents=True, exist_ok=True)
        self._file = _create(place)

    def __enter__(self) -> BuildLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write_line(self, line: bytes) -> bool:
        """Append a line (without its end). False when the limit is exceeded: the build is to be ended.

        The line that exceeds it is left out; the last line of the file says so. Raises ``OSError``, as it does when the
        log is closed; the line may then be there in part.
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
        # Somebody who was supposed to be dead may create it at the same moment.
        with contextlib.suppress(FileExistsError):
            return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
