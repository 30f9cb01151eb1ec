"""What a person sees while work goes on: live on a terminal, a line for each event in a pipe, or JSON."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
import psycopg
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..database.errors import DatabaseError
from ..database.procedures import Procedures
from ..loop.shared import Observer
from .events import Line, describe
from .live import Display
from .words import printable

POLL_SECONDS = 0.5
"""Time between two looks at the database."""
POLL_SHARE = 10
"""A look that takes long is followed by a pause that many times as long."""
REFRESHES_PER_SECOND = 5
REPEAT_SECONDS = 10.0
"""The same trouble is told of again only after this time."""

_POOL_PREFIX = re.compile(r"\Aerror connecting in '[^']*': (connection is bad: )?")
_TROUBLE = ("database_error", "store_error")


class Progress(Observer):
    """Tells of a worker's events as long as its process lives. Whoever can't be told any more is no reason to stop."""

    def event(self, kind: str, **details: Any) -> None:
        """Something happened; called from any thread."""

    def doing(self, words: str) -> None:
        """Say what is done next, before there are events; empty: that it is done."""

    def say(self, text: str) -> None:
        """Tell something in full, on stderr."""
        _write(printable(text), to_stderr=True)

    @contextmanager
    def shown(self, procedures: Procedures) -> Iterator[None]:  # noqa: ARG002
        """Show progress as long as this is open."""
        yield


class JsonProgress(Progress):
    """One JSON object for each event, on stdout."""

    def event(self, kind: str, **details: Any) -> None:
        """Print it."""
        _write(json.dumps({"event": kind, **details}), to_stderr=False)


class _InWords(Progress):
    """Puts events into words. A report that is to be confirmed is told of when it is; trouble, not again and again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def _words(self, kind: str, details: dict[str, Any], *, short: bool = False) -> Line | None:
        """The event's line; none when it says nothing new."""
        if details.get("outcome") == "confirm":
            return None
        line = describe(kind, details, short=short)
        if kind not in _TROUBLE:
            return line
        with self._lock:
            now = time.monotonic()
            self._told = {text: told for text, told in self._told.items() if now - told < REPEAT_SECONDS}
            return line if self._told.setdefault(str(line), now) == now else None


class LineProgress(_InWords):
    """One line for each event, on stderr."""

    def event(self, kind: str, **details: Any) -> None:
        """Print it."""
        line = self._words(kind, details)
        if line is not None:
            _write(str(line), to_stderr=True)

    def doing(self, words: str) -> None:
        """Print it."""
        if words:
            self.say(words)


class LiveProgress(_InWords):
    """A display at the bottom of a terminal, redrawn a few times a second; what is notable is printed above it."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._console = console
        self._display = Display(clock)
        self._ended = threading.Event()

    def event(self, kind: str, **details: Any) -> None:
        """Count it; print it when it is notable."""
        line = self._words(kind, details, short=True)
        if line is None:
            return
        self._display.count(line)
        if line.notable:
            self._print(Text.assemble((f"{line.word:<8}", line.style), " ", line.rest))

    def doing(self, words: str) -> None:
        """Show it in the first line of the display, until there is something else."""
        self._display.doing(words)

    def say(self, text: str) -> None:
        """Print it above the display."""
        self._print(Text(printable(text)))

    @contextmanager
    def shown(self, procedures: Procedures) -> Iterator[None]:
        """Show the display as long as this is open."""
        self._ended.clear()
        # A daemon: while the database is away, a call may outlast the display.
        poller = threading.Thread(target=self._poll, args=[procedures], name="Progress", daemon=True)
        live = Live(
            console=self._console,
            get_renderable=lambda: self._display.picture(self._console.width, self._console.height),
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
        )
        with live:
            poller.start()
            try:
                yield
            finally:
                self._ended.set()
                poller.join(timeout=POLL_SECONDS)
        self._display = Display()

    def _poll(self, procedures: Procedures) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            began = time.monotonic()
            # Whatever is wrong with the database, those who need it will say so.
            with suppress(psycopg.Error, DatabaseError):
                self._display.update(procedures.status())
            pause = max(POLL_SECONDS, POLL_SHARE * (time.monotonic() - began))

    def _print(self, text: Text) -> None:
        with suppress(OSError):
            self._console.print(text, soft_wrap=True, highlight=False)


def observer_for(*, as_json: bool = False) -> Progress:
    """The observer that fits where the output goes. It is told of the connection pool's trouble as well."""
    progress = _progress(as_json)
    logger = logging.getLogger("psycopg.pool")
    logger.handlers = [_PoolTrouble(progress)]
    logger.propagate = False
    return progress


def _progress(as_json: bool) -> Progress:
    if as_json:
        return JsonProgress()
    console = Console(file=sys.stderr)
    if console.is_terminal and not console.is_dumb_terminal and sys.stderr.isatty():
        return LiveProgress(console)
    return LineProgress()


class _PoolTrouble(logging.Handler):
    """The pool goes on trying to connect, and tells of it only in its log: these are events like others."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.WARNING)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Tell the observer."""
        message = _POOL_PREFIX.sub("", record.getMessage())
        if message.startswith("discarding closed connection"):
            return  # whoever used it tells why
        self._progress.event("database_error", verb="connect", message=message)


_writing = threading.Lock()


def _write(text: str, *, to_stderr: bool) -> None:
    # A reader that has gone (`... | head`) must not end the thread that happened to tell it something.
    with _writing, suppress(OSError):
        click.echo(text, err=to_stderr)
