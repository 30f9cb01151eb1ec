"""What can go wrong between us and a Nix."""

from __future__ import annotations

import re

_TERMINAL = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def without_terminal_codes(text: bytes) -> str:
    """Text of a message without colours and other terminal sequences; bytes that are not UTF-8 are replaced."""
    return _TERMINAL.sub("", text.decode("utf-8", errors="replace"))


class StoreError(Exception):
    """Anything that a store or the connection to it may raise."""


class NixError(StoreError):
    """What Nix answered instead of a result. The connection can be used further.

    ``level`` is Nix's verbosity level of the message (0: error); ``traces`` are its further lines.
    """

    def __init__(self, level: int, message: str, traces: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.level = level
        self.message = message
        self.traces = traces


class ConnectionLost(StoreError):
    """The connection ended, or was ended, before the answer was there. What was asked may or may not have been done."""


class ProtocolError(StoreError):
    """The other side does not speak the worker protocol as we know it."""


class PathMismatch(StoreError):
    """Nix added a text under another path than the one that was computed for it."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"Nix wrote '{actual}', but '{expected}' was computed: the store directories may differ")
        self.expected = expected
        self.actual = actual


class NixNotFound(StoreError):
    """A program of Nix is not on PATH."""

    def __init__(self, program: str) -> None:
        super().__init__(f"'{program}' is not on PATH: install Nix, or put its bin directory on PATH")
        self.program = program
