"""Reading JSON of any depth.

Python's own reader calls itself for each level, and fails after some hundreds; Nix takes several hundred thousand.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")


def parse_nested(text: str, decoder: json.JSONDecoder) -> Any:
    """Read ``text``; ``decoder`` reads its strings, numbers and words.

    Of a repeated key the last value counts. Raises ``ValueError``.
    """
    return _Reader(text, decoder).read()


class _Reader:
    """A cursor over the text, and the lists and objects that are open there."""

    def __init__(self, text: str, decoder: json.JSONDecoder) -> None:
        self.text = text
        self.decoder = decoder
        self.position = 0
        self.open: list[list[Any] | dict[str, Any]] = []

    def read(self) -> Any:
        value = self.begin()
        while self.open:
            container = self.open[-1]
            closing = "]" if isinstance(container, list) else "}"
            if container:
                more = self.expect("," + closing) == ","
            else:
                more = self.peek() != closing
                self.position += not more
            if not more:
                self.open.pop()
            elif isinstance(container, list):
                container.append(self.begin())
            else:
                self.member(container)
        if self.peek():
            raise self.error("the end")
        return value

    def begin(self) -> Any:
        """Read a scalar, or the beginning of a list or an object."""
        character = self.peek()
        if not character:
            raise self.error("a value")
        if character in "[{":
            self.position += 1
            self.open.append([] if character == "[" else {})
            return self.open[-1]
        value, self.position = self.decoder.raw_decode(self.text, self.position)
        return value

    def member(self, container: dict[str, Any]) -> None:
        if self.peek() != '"':
            raise self.error("a key")
        key, self.position = self.decoder.raw_decode(self.text, self.position)
        self.expect(":")
        container[key] = self.begin()

    def peek(self) -> str:
        """Return the next character after white space, or an empty string at the end."""
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()
        return self.text[self.position : self.position + 1]

    def expect(self, characters: str) -> str:
        character = self.peek()
        if not character or character not in characters:
            raise self.error(f"one of '{characters}'")
        self.position += 1
        return character

    def error(self, expected: str) -> ValueError:
        return ValueError(f"expected {expected} at character {self.position}")
