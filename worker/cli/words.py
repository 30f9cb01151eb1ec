"""Names, messages and times for display."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

STATUS_WORDS = {
    0: "succeeded", 1: "failed", 2: "dependency failed", 3: "aborted", 4: "cancelled", 6: "failed with output",
    7: "timed out", 8: "cached failure", 9: "unsupported system", 10: "log limit exceeded", 11: "output too large",
    12: "not deterministic", 13: "resolved",
}  # fmt: skip
"""Hydra's numbers for the ends of builds and steps."""

HASH_SHOWN = 7
"""Characters of a hash that are enough to distinguish two derivations of one name."""

_BASE_NAME = r"([0-9abcdfghijklmnpqrsvwxyz]{32})-([0-9A-Za-z+._?=-]*[0-9A-Za-z+_?=-])"
_STORE_PATH = re.compile(r"(?<![^\s'\"(=:])/[^\s'\"]*/" + _BASE_NAME)
_ONE_NAME = re.compile(_BASE_NAME)
_CANNOT_BUILD = re.compile(r"\ACannot build '[^']*'\.\s*Reason:\s*")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def base_name(path: str) -> str:
    """Return a store path without its directory."""
    return path.rpartition("/")[2]


def short_name(path: str) -> str:
    """Return a store path for display: no directory, and the beginning of the hash."""
    name = base_name(path)
    found = _ONE_NAME.fullmatch(name)
    return f"{found[1][:HASH_SHOWN]}-{found[2]}" if found else name


def written_by(derivation: Mapping[str, Any]) -> str:
    """If a builder wrote the .drv, return a text that names the builder, to append to the name; else an empty text."""
    producer = derivation["producer"]
    return f" (written by {short_name(producer['drv'])}^{producer['output']})" if producer else ""


def printable(text: str) -> str:
    """Return the text without control characters that move a terminal's cursor or change its colours; lines stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def message_lines(message: str | None, *, short: bool = True) -> list[str]:
    """Return the lines of a failure, without a repeated derivation name; `short`: store paths are shortened."""
    text = _CANNOT_BUILD.sub("", printable(message or "").strip())
    if short:
        text = _STORE_PATH.sub(lambda found: f"{found[1][:HASH_SHOWN]}-{found[2]}", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def first_line(message: str | None, *, short: bool = True) -> str:
    """Return the first line of a message; if it ends in a colon, the whole message."""
    lines = message_lines(message, short=short) or ["no reason given"]
    return " ".join(lines) if lines[0].endswith(":") else lines[0]


def duration(seconds: float) -> str:
    """Return a length of time in one or two units."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if needed."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
