"""Errors of a Nix, and of the connection to it."""

from __future__ import annotations

import re

_TERMINAL = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def without_terminal_codes(text: bytes) -> str:
    """Return the text of a message without colours and other terminal codes; bytes that are not UTF-8 are replaced."""
    return _TERMINAL.sub("", text.decode("utf-8", errors="replace"))


class StoreError(Exception):
    """Any error of a store, or of the connection to it."""


class NixError(StoreError):
    """Nix answered with an error. The connection can be used further.

    ``level`` is Nix's verbosity level of the message (0: error); ``traces`` are its further lines.
    """

    def __init__(self, level: int, message: str, traces: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.level = level
        self.message = message
        self.traces = traces


class ConnectionLost(StoreError):
    """The connection ended, or was ended, before the answer arrived. The request may or may not have been executed."""


class ProtocolError(StoreError):
    """The other side does not speak the worker protocol as we know it."""


class PathMismatch(StoreError):
    """Nix added a text under another path than the computed one."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"Nix wrote '{actual}', but '{expected}' was computed: the store directories may differ")
        self.expected = expected
        self.actual = actual


class NixNotFound(StoreError):
    """A program of Nix is not on PATH."""

    def __init__(self, program: str) -> None:
        super().__init__(f"'{program}' is not on PATH: install Nix, or put its bin directory on PATH")
        self.program = program
