"""The values that settings may have, in a file and in a variable."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_JOBS = 1000
"""Builds of one worker at a time. The connections of so many builds to Nix are 1000 processes of 5 MB each."""

_ADDRESS = re.compile(r"(?:(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^\s:\[\]]+)):)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Kind:
    """The values that a setting may have. Both functions raise ValueError for other values."""

    words: str
    check: Callable[[Any], Any]
    """Checks a value from the file."""
    parse: Callable[[str], Any]
    """Parses the text of a variable."""


def _of(kind: type) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        if type(value) is not kind:  # True is not a number
            raise ValueError
        return value

    return checked


def _words(value: Any, known: tuple[str, ...] = ()) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
        raise ValueError
    if known and not set(value) <= set(known):
        raise ValueError
    return value


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ValueError
    return text.lower() in ("true", "1", "yes", "on")


def numbers(at_least: int, at_most: int | None = None) -> Kind:
    """Return the kind of whole numbers within these bounds."""

    def check(value: Any) -> int:
        if type(value) is not int or value < at_least or (at_most is not None and value > at_most):
            raise ValueError
        return value

    words = f"a whole number, {at_least} or more" if at_most is None else f"a whole number from {at_least} to {at_most}"
    return Kind(words, check, lambda text: check(int(text)))


def is_feature_limit(text: str) -> bool:
    """Return whether the text is FEATURE=NUMBER."""
    feature, equals, number = text.partition("=")
    return bool(feature and equals and number.isdecimal())


def _limits(value: Any) -> list[str]:
    if not all(is_feature_limit(word) for word in _words(value)):
        raise ValueError
    return list(value)


def address_of(text: str) -> tuple[str, int]:
    """Return host and port of `PORT`, which is on this machine, or of `HOST:PORT`. Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"'{text}' is no address")
    return match["v6"] or match["host"] or "127.0.0.1", int(match["port"])


def _address(value: Any) -> str:
    address_of(_of(str)(value))
    return str(value)


def one_of(known: tuple[str, ...]) -> Kind:
    """Return the kind of strings in this list."""

    def check(value: Any) -> str:
        if value not in known:
            raise ValueError
        return str(value)

    return Kind(" or ".join(known), check, check)


def lists(words: str, known: tuple[str, ...] = ()) -> Kind:
    """Return the kind of lists of non-empty strings; if `known` is given, of the known ones only."""
    return Kind(words, lambda value: _words(value, known), lambda text: _words(text.replace(",", " ").split(), known))


TEXT = Kind("a string", _of(str), str)
PATH = Kind(
    "a path, as a string", lambda value: Path(_of(str)(value)).expanduser(), lambda text: Path(text).expanduser()
)
ADDRESS = Kind("a port, or an address with a port, such as 127.0.0.1:8080, as a string", _address, _address)
TRUTH = Kind("true or false", _of(bool), _truth)
LIMITS = Kind(
    'a list of limits, such as ["big-parallel=1"]', _limits, lambda text: _limits(text.replace(",", " ").split())
)
