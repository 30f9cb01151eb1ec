"""Structured attributes: the JSON object that a derivation carries in the environment entry ``__json``.

Up to 2.30 Nix keeps the entry as text, though it has to be JSON. Since 2.31 it reads the entry as JSON and prints it
again: compact, with sorted keys. This module reads and prints as the JSON library of Nix (nlohmann) does.

Source: the Nix manual, "Advanced Attributes"; ``StructuredAttrs`` in the source of Nix.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any, NoReturn

from .derivation import DerivationError
from .json_double import format_double
from .json_nested import parse_nested

JSON_KEY = b"__json"
"""The name of the environment entry."""

_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HALF_PAIR = "structured attributes hold half of a surrogate pair"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# The valid escapes: half of a surrogate pair is none.
_WHOLE_ESCAPE = re.compile(r"\\(?:[^u]|u(?![dD][89a-fA-F])|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})")


class InvalidStructuredAttributes(DerivationError):
    """Nix can't read the ``__json`` entry."""


def parse_structured_attributes(text: bytes) -> dict[str, Any]:
    """Read the object; of a repeated key the last value counts. Raises :class:`InvalidStructuredAttributes`."""
    value = _parse(text)
    if not isinstance(value, dict):
        raise InvalidStructuredAttributes("structured attributes are no JSON object")
    return value


def check_structured_attributes(text: bytes) -> bytes:
    """Return ``text`` if a Nix before 2.31 can build with it. Raises :class:`InvalidStructuredAttributes`.

    Such a Nix also accepts ``null`` instead of an object.
    """
    if not isinstance(_parse(text), dict | None):
        raise InvalidStructuredAttributes("structured attributes are no JSON object")
    return text


def print_structured_attributes(attributes: dict[str, Any]) -> bytes:
    """Return the object as Nix writes it. Raises :class:`InvalidStructuredAttributes` if it has no UTF-8 form."""
    try:
        return "".join(_pieces(attributes)).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidStructuredAttributes(_HALF_PAIR) from None


def normalise_structured_attributes(text: bytes) -> bytes:
    """Return the text that Nix 2.31 and later write after they have read ``text``."""
    return print_structured_attributes(parse_structured_attributes(text))


def _parse(text: bytes) -> Any:
    try:
        # Nix ends at a zero byte; a string may not contain one anyway.
        characters = text.partition(b"\0")[0].removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
        # Nix refuses half a pair even in a value that does not count, because the same key follows.
        if _SURROGATE.search(characters) and "\\" in _WHOLE_ESCAPE.sub("", characters):
            raise InvalidStructuredAttributes(_HALF_PAIR)
        try:
            return _DECODER.decode(characters)
        except RecursionError:
            return parse_nested(characters, _DECODER)
    except InvalidStructuredAttributes:
        raise
    except ValueError as error:
        raise InvalidStructuredAttributes(f"structured attributes are no JSON: {error}") from None


def _parse_integer(text: str) -> int | float:
    # Longer texts are slow to read, and are not 64-bit integers.
    if len(text) <= 21 and _INT64_MIN <= (number := int(text)) <= _UINT64_MAX:
        return number
    return _parse_double(text)


def _parse_double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"number overflow parsing '{text}'")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(parse_int=_parse_integer, parse_float=_parse_double, parse_constant=_refuse_constant)


class _Verbatim(str):
    """Text that is printed already."""


def _pieces(value: Any) -> Iterator[str]:
    # No recursion: Nix prints values that are nested some hundred thousand times.
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, _Verbatim):
            yield value
        elif isinstance(value, str):
            yield encode_basestring(value)
        elif value is True:
            yield "true"
        elif value is False:
            yield "false"
        elif value is None:
            yield "null"
        elif isinstance(value, float):
            yield format_double(value)
        elif isinstance(value, int):
            yield str(value)
        else:
            is_object = isinstance(value, dict)
            parts: list[Any] = [_Verbatim("}" if is_object else "]")]
            # Code points sort in the same order as the bytes of their UTF-8 form.
            for item in sorted(value, reverse=True) if is_object else reversed(value):
                parts += (
                    (value[item], _Verbatim(f",{encode_basestring(item)}:")) if is_object else (item, _Verbatim(","))
                )
            if len(parts) > 1:  # no comma before the first
                parts[-1] = _Verbatim(parts[-1][1:])
            yield "{" if is_object else "["
            pending += parts
