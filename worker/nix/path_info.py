"""The info of a path in a store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PathInfo:
    """Nix's info of a valid path. Paths are base names; ``nar_size`` in bytes, ``nar_hash`` sha256 in base 16.

    ``deriver`` is ``None`` if unknown, ``registration_time`` in seconds since 1970, ``content_address`` empty if the
    path is not content-addressed.
    """

    path: str
    deriver: str | None
    nar_hash: str
    nar_size: int
    references: tuple[str, ...]
    registration_time: int
    signatures: tuple[str, ...]
    content_address: str
