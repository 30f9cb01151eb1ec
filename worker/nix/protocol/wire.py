"""Numbers, strings and lists as the worker protocol writes them.

Source: the Nix manual, "Nix Archive (NAR) Format" for strings; ``worker-protocol`` in the source of Nix.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Protocol

from ..errors import ConnectionLost, ProtocolError

MAX_STRING = 1 << 32
"""Longer strings are taken for a sign of lost synchronisation."""

_U64 = struct.Struct("<Q")
_TWO = struct.Struct("<2Q")
_THREE = struct.Struct("<3Q")
_PADDING = [b"\0" * (-length % 8) for length in range(8)]

encode_u64 = _U64.pack


def encode_u64s(*numbers: int) -> bytes:
    """Encode several numbers."""
    return b"".join(map(_U64.pack, numbers))


def encode_string(text: bytes) -> bytes:
    """Encode a string: length, bytes, zeros up to a multiple of eight."""
    return _U64.pack(len(text)) + text + _PADDING[len(text) & 7]


def encode_strings(texts: Iterable[bytes]) -> bytes:
    """Encode a list (or set) of strings."""
    encoded = [encode_string(text) for text in texts]
    return _U64.pack(len(encoded)) + b"".join(encoded)


def encode_framed(content: bytes) -> bytes:
    """Encode a framed upload: one frame and the end mark. Frames are not padded."""
    if not content:
        return _U64.pack(0)
    return b"".join((_U64.pack(len(content)), content, _U64.pack(0)))


class ByteStream(Protocol):
    """A buffered stream to read from."""

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes; fewer only at the end."""

    def close(self) -> None:
        """Close the stream."""


class WireReader:
    """Reads the data of the other side. Raises :class:`ConnectionLost` if it ends too early."""

    __slots__ = ("_read", "_stream")

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._read = stream.read

    def u64(self) -> int:
        """Read a number."""
        return int.from_bytes(self.exactly(8), "little")

    def two(self) -> tuple[int, int]:
        """Read two numbers at once: the most frequent numbers come in twos and threes."""
        first, second = _TWO.unpack(self.exactly(16))
        return first, second

    def three(self) -> tuple[int, int, int]:
        """Read three numbers."""
        first, second, third = _THREE.unpack(self.exactly(24))
        return first, second, third

    def exactly(self, size: int) -> bytes:
        """Read ``size`` bytes, without padding."""
        try:
            data = self._read(size)
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"the connection to Nix ended: {error}") from None
        if len(data) != size:
            raise ConnectionLost("Nix closed the connection")
        return data

    def string(self) -> bytes:
        """Read a string."""
        return self.rest_of_string(self.u64())

    def rest_of_string(self, size: int) -> bytes:
        """Read a string whose length was read already."""
        if not size:
            return b""
        if size > MAX_STRING:
            raise ProtocolError(f"Nix announced a string of {size} bytes")
        return self.exactly(size + 7 & -8)[:size]

    def strings(self) -> list[bytes]:
        """Read a list (or set) of strings."""
        return [self.string() for _ in range(self.u64())]

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
