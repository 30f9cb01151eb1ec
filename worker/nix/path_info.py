"""What a store knows of a path."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PathInfo:
    """What Nix knows of a valid path. Paths are base names; ``nar_size`` in bytes, ``nar_hash`` sha256 in base 16.

    ``deriver`` is ``None`` when it is not known, ``registration_time`` in seconds since 1970, ``content_address`` empty
    for what is not content-addressed.
    """

    path: str
    deriver: str | None
    nar_hash: str
    nar_size: int
    references: tuple[str, ...]
    registration_time: int
    signatures: tuple[str, ...]
    content_address: str
