"""Reading infos of paths."""

from __future__ import annotations

from ..path_info import PathInfo
from ..store_path import StoreDir
from .operations import RawPathInfo


def path_info(path: str, raw: RawPathInfo, store_dir: StoreDir) -> PathInfo:
    """Return the info of a path (a base name) as Nix sent it."""
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
