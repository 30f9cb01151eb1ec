"""Attribute paths as people write them: names joined with dots; a name that holds a dot is in double quotes.

The syntax is that of `nix-instantiate -A`, plus backslash escapes inside the quotes. So every name can be written, and
the name of every job is an attribute path that leads to the job.
"""

from __future__ import annotations

import re

AttributePath = tuple[str, ...]

_PLAIN = re.compile(r'[^."\\\s]+')
_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)', re.DOTALL)


class AttributePathError(ValueError):
    """The text is not an attribute path; the message says what to write instead."""


def parse_attribute_path(text: str) -> AttributePath:
    """Parse `a."b.c".d` to ("a", "b.c", "d"); the empty text is the empty path. Raises AttributePathError."""
    if not text:
        return ()
    names: list[str] = []
    position = 0
    while True:
        part = _PART.match(text, position)
        position = part.end() if part else position
        if part is None or text[position : position + 1] not in ("", "."):
            raise AttributePathError(
                f"{text!r} is not an attribute path: write names joined with dots,"
                ' and a name that holds a dot or a quote as in a."b.c"'
            )
        quoted, plain = part.groups()
        names.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        if position == len(text):
            return tuple(names)
        position += 1


def format_attribute_path(path: AttributePath) -> str:
    """Return the text that parse_attribute_path reads back as this path."""
    return ".".join(name if _PLAIN.fullmatch(name) else _quoted(name) for name in path)


def _quoted(name: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
