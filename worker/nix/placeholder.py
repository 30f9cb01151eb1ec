"""Placeholders: texts in a derivation that stand for store paths that are not known yet.

A placeholder is ``/`` and 52 base-32 digits. Source: ``hashPlaceholder`` and ``DownstreamPlaceholder`` in the source of
Nix.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from .store_path import compress_hash, derivation_name, hash_part, nix32, output_path_name

PLACEHOLDER_LENGTH = 53
"""Bytes of a placeholder, the slash included."""
_REMEMBERED = 8192


def output_placeholder(output: str) -> str:
    """Return the placeholder of a derivation's own output; resolving keeps it, and the builder gets the path."""
    return "/" + nix32(sha256(f"nix-output:{output}".encode()).digest())


def _upstream_digest(drv_path: str, output: str) -> bytes:
    name = output_path_name(derivation_name(drv_path), output)
    return sha256(f"nix-upstream-output:{hash_part(drv_path)}:{name}".encode()).digest()


def upstream_placeholder(drv_path: str, output: str) -> str:
    """Return the placeholder of an output of the input derivation ``drv_path`` (a base name, unresolved).

    Raises :class:`InvalidStorePath` if ``drv_path`` is not named like a derivation.
    """
    return "/" + nix32(_upstream_digest(drv_path, output))


@lru_cache(_REMEMBERED)
def chain_placeholder(drv_path: str, chain: tuple[str, ...]) -> str:
    """Return the placeholder of the end of a chain of outputs, each but the last a derivation (dynamic derivations).

    For one output it is :func:`upstream_placeholder`. Raises as that does. Recent results are cached: derivations with
    the same inputs are resolved at about the same time.
    """
    digest = _upstream_digest(drv_path, chain[0])
    for output in chain[1:]:
        digest = sha256(f"nix-computed-output:{nix32(compress_hash(digest))}:{output}".encode()).digest()
    return "/" + nix32(digest)
