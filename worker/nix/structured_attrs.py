"""Structured attributes: the JSON object that a derivation carries in the environment entry ``__json``.

Up to 2.30 Nix keeps that entry as text. Since 2.31 it reads it as JSON and prints it anew: compact, with sorted keys.
This module prints as the JSON library of Nix (nlohmann) does.
"""

from __future__ import annotations

import json
import math
import re
from json.encoder import encode_basestring
from typing import Any, NoReturn

from .derivation import DerivationError
from .json_double import format_double

JSON_KEY = b"__json"

_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InvalidStructuredAttributes(DerivationError):
    """A ``__json`` entry that Nix (2.31 and later) can't read."""


def parse_structured_attributes(text: bytes) -> dict[str, Any]:
    """Read the object; of a repeated key the last value counts. Raises :class:`InvalidStructuredAttributes`."""
    try:
        value = json.loads(
            text.removeprefix(_BYTE_ORDER_MARK).decode("utf-8"),
            parse_int=_parse_integer,
            parse_float=_parse_double,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise InvalidStructuredAttributes("structured attributes are nested too deeply") from None
    except ValueError as error:
        raise InvalidStructuredAttributes(f"structured attributes are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidStructuredAttributes("structured attributes are no JSON object")
    return value


def print_structured_attributes(attributes: dict[str, Any]) -> bytes:
    """Write the object as Nix does. Raises :class:`InvalidStructuredAttributes` for what has no UTF-8 form."""
    pieces: list[str] = []
    try:
        _print(attributes, pieces.append)
        return "".join(pieces).encode("utf-8")
    except RecursionError:
        raise InvalidStructuredAttributes("structured attributes are nested too deeply") from None
    except UnicodeEncodeError:
        raise InvalidStructuredAttributes("structured attributes hold half of a surrogate pair") from None


def normalise_structured_attributes(text: bytes) -> bytes:
    """What Nix 2.31 and later write after they have read ``text``."""
    return print_structured_attributes(parse_structured_attributes(text))


def _parse_integer(text: str) -> int | float:
    # Longer ones would be slow to read, and are no 64-bit integers.
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


def _print(value: Any, emit: Any) -> None:
    if isinstance(value, str):
        emit(encode_basestring(value))
    elif value is True:
        emit("true")
    elif value is False:
        emit("false")
    elif value is None:
        emit("null")
    elif isinstance(value, float):
        emit(format_double(value))
    elif isinstance(value, int):
        emit(str(value))
    elif isinstance(value, dict):
        separator = "{"
        # Code points sort as the bytes of their UTF-8 form do.
        for key in sorted(value):
            emit(f"{separator}{encode_basestring(key)}:")
            _print(value[key], emit)
            separator = ","
        emit("}" if value else "{}")
    else:
        separator = "["
        for item in value:
            emit(separator)
            _print(item, emit)
            separator = ","
        emit("]" if value else "[]")
