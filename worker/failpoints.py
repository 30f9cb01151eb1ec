"""Points at which tests end this process: before and after every call of the database and of Nix, and a few more.

A point does nothing unless the environment asks for it:

* `HYDRA_RESOLVER_FAILPOINT=NAME[:COUNT][:stop][,...]`: SIGKILL, or SIGSTOP, when the process reaches that point for
  the COUNT-th time. A name is `POINT in THREAD`, such as `after finish_steps in build-reporter`.
* `HYDRA_RESOLVER_FAILPOINT_LOG=FILE`: the process appends the name of every point that it reaches to the file, one a
  line.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

VARIABLE = "HYDRA_RESOLVER_FAILPOINT"
LOG_VARIABLE = "HYDRA_RESOLVER_FAILPOINT_LOG"


class Failpoints:
    """The signals of one process and the points where they are sent, in the syntax of the environment variables."""

    def __init__(self, text: str, log: str) -> None:
        self._log = Path(log) if log else None
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}
        self._stops: set[str] = set()
        for item in filter(None, text.split(",")):
            name, *options = item.split(":")
            self._left[name] = next((int(option) for option in options if option.isdigit()), 1)
            if "stop" in options:
                self._stops.add(name)

    def __bool__(self) -> bool:
        return bool(self._left or self._log)

    def reach(self, name: str) -> None:
        """Reach the point of that name."""
        with self._lock:
            if self._log is not None:
                with self._log.open("a") as file:
                    file.write(f"{name}\n")
            if name not in self._left:
                return
            self._left[name] -= 1
            if self._left[name] == 0:
                os.kill(os.getpid(), signal.SIGSTOP if name in self._stops else signal.SIGKILL)


_failpoints = Failpoints(os.environ.get(VARIABLE, ""), os.environ.get(LOG_VARIABLE, ""))
armed = bool(_failpoints)
"""Whether any point does anything. If a caller checks this first, it does not have to build the name of a point."""


def reach(point: str) -> None:
    """Reach a point: continue, unless a test ends the process here."""
    if armed:
        _failpoints.reach(f"{point} in {threading.current_thread().name}")
