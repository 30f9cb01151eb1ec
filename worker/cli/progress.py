"""Progress messages while a worker works: a line for each event in a pipe, JSON, or a live display on a terminal."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..database.procedures import Procedures
from ..loop.worker_state import Observer
from .events import Line, describe
from .words import printable

REPEAT_SECONDS = 10.0
"""An equal error is reported again only after this time."""

_TROUBLE = ("database_error", "store_error")


class Progress(Observer):
    """Reports a worker's events as long as its process lives. If the output is closed, the worker still goes on."""

    def event(self, kind: str, **details: Any) -> None:
        """Report an event; called from any thread."""

    def doing(self, words: str) -> None:
        """Report the next activity, before there are events; an empty text reports its end."""

    def say(self, text: str) -> None:
        """Print a whole text on stderr."""
        _write(printable(text), to_stderr=True)

    @contextmanager
    def shown(self, procedures: Procedures) -> Iterator[None]:  # noqa: ARG002
        """Show progress as long as this is open."""
        yield


class JsonProgress(Progress):
    """One JSON object for each event, on stdout."""

    def event(self, kind: str, **details: Any) -> None:
        """Print the event."""
        _write(json.dumps({"event": kind, **details}), to_stderr=False)


class TextProgress(Progress):
    """Turns events into text. A report that awaits confirmation is left out, and so are repeated errors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def words(self, kind: str, details: dict[str, Any], *, short: bool = False) -> Line | None:
        """Return the event's line; `None` if it says nothing new."""
        if details.get("outcome") == "confirm":
            return None
        line = describe(kind, details, short=short)
        if kind not in _TROUBLE:
            return line
        with self._lock:
            now = time.monotonic()
            self._told = {text: told for text, told in self._told.items() if now - told < REPEAT_SECONDS}
            return line if self._told.setdefault(str(line), now) == now else None


class LineProgress(TextProgress):
    """One line for each event, on stderr."""

    def event(self, kind: str, **details: Any) -> None:
        """Print the event, and below it the traceback of an unexpected error."""
        line = self.words(kind, details)
        if line is not None:
            _write(
                "\n".join(filter(None, [str(line), printable(details.get("traceback", "")).rstrip()])), to_stderr=True
            )

    def doing(self, words: str) -> None:
        """Print the words."""
        if words:
            self.say(words)


def observer_for(*, as_json: bool = False) -> Progress:
    """Return the observer that fits the output: JSON, a terminal or a pipe."""
    if as_json:
        return JsonProgress()
    if sys.stderr.isatty():
        from .live_progress import LiveProgress, usable_console  # the import takes long

        console = usable_console()
        if console is not None:
            return LiveProgress(console)
    return LineProgress()


_writing = threading.Lock()


def _write(text: str, *, to_stderr: bool) -> None:
    # A reader that has gone (`... | head`) must not end the thread that writes.
    stream = sys.stderr if to_stderr else sys.stdout
    with _writing, suppress(OSError):
        stream.write(text + "\n")
        stream.flush()
