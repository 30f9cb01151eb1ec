"""The watcher of a running build."""

from __future__ import annotations

from collections.abc import Callable

from ..build_log import BuildLog
from ..nix.protocol.messages import BuildEvents

HERE = "localhost"


class OtherDerivationStarted(Exception):
    """Nix began to build another derivation than the requested one."""


class LogFlooded(Exception):
    """The log exceeded its limit."""


class Watcher(BuildEvents):
    """Follows one build: writes its log, and ends the call if Nix builds another derivation or the log is too long."""

    def __init__(self, drv_path: str, open_log: Callable[[], BuildLog], runs: Callable[[str], None]) -> None:
        self.drv_path = drv_path
        self.machine: str | None = None
        """The machine that builds; `None` until Nix names it."""
        self.log: BuildLog | None = None
        self.under_way: Callable[[], None] = lambda: None
        self._open_log = open_log
        self._runs = runs

    def started(self, drv_path: str, machine: str) -> None:
        """Open the log. Raises OtherDerivationStarted."""
        if drv_path != self.drv_path:
            raise OtherDerivationStarted(drv_path)
        if self.log is not None:
            return  # a remote builder repeats the message
        self.machine = machine or HERE
        self.under_way()
        self._runs(self.machine)
        self.log = self._open_log()

    def log_line(self, drv_path: str, line: bytes) -> None:  # noqa: ARG002
        """Write a line. Raises LogFlooded."""
        if self.log is not None and not self.log.write_line(line):
            raise LogFlooded

    def close(self) -> None:
        """Close the log."""
        if self.log is not None:
            self.log.close()
