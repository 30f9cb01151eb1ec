"""The live display on a terminal while a worker works."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..database.errors import DatabaseError
from ..database.procedures import Procedures
from .live import Display
from .progress import TextProgress
from .words import printable

POLL_SECONDS = 0.5
"""Time between two queries to the database."""
POLL_SHARE = 10
"""The pause after a query is at least this many times as long as the query."""
REFRESHES_PER_SECOND = 5


def usable_console() -> Console | None:
    """Return the terminal behind stderr, if it can show a live display."""
    console = Console(file=sys.stderr)
    return console if console.is_terminal and not console.is_dumb_terminal else None


class LiveProgress(TextProgress):
    """A display at the bottom of a terminal, redrawn a few times a second; notable events are printed above it."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._console = console
        self._display = Display(clock)
        self._ended = threading.Event()

    def event(self, kind: str, **details: Any) -> None:
        """Count the event, and print it if it is notable."""
        line = self.words(kind, details, short=True)
        if line is None:
            return
        self._display.count(line)
        if line.notable:
            self._print(Text.assemble((f"{line.word:<8}", line.style), " ", line.rest))

    def doing(self, words: str) -> None:
        """Show the words in the first line of the display, until they are replaced."""
        self._display.doing(words)

    def say(self, text: str) -> None:
        """Print the text above the display."""
        self._print(Text(printable(text)))

    @contextmanager
    def shown(self, procedures: Procedures) -> Iterator[None]:
        """Show the display as long as this is open."""
        self._ended.clear()
        # A daemon: if the database is away, a call may outlast the display.
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
            # The display ignores errors of the database: other calls meet the same error and report it.
            with suppress(psycopg.Error, DatabaseError):
                self._display.update(procedures.status())
            pause = max(POLL_SECONDS, POLL_SHARE * (time.monotonic() - began))

    def _print(self, text: Text) -> None:
        with suppress(OSError):
            self._console.print(text, soft_wrap=True, highlight=False)
