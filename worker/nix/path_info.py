"""What a store knows of a path."""

from __future__ import annotations

from dataclasses import dataclass

from .protocol.operations import RawPathInfo
from .store_path import StoreDir


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


def path_info(path: str, raw: RawPathInfo, store_dir: StoreDir) -> PathInfo:
    """The info of a path (a base name) as Nix sent it."""
    prefix = store_dir.prefix
    return PathInfo(
        path=path,
        deriver=raw.deriver.removeprefix(prefix) or None,
        nar_hash=raw.nar_hash,
        nar_size=raw.nar_size,
        references=tuple(reference.removeprefix(prefix) for reference in raw.references),
        registration_time=raw.registration_time,
        signatures=raw.signatures,
        content_address=raw.content_address,
    )
