"""Data from the outputs of a build: sizes, products, metrics, the name of a release.

The build writes the files in ``nix-support``: they may be wrong in every way, and wrong lines are skipped. Links are
followed as long as they stay in the closure of the outputs.

Sources: the Hydra manual, "Build Products"; ``crates/nix-support`` in the source of Hydra for the formats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import islice

from .closure_files import ClosureFiles
from .nix.closure import PathInfos
from .nix.store import Store
from .nix.store_path import name_part

DEFAULT_OUTPUT_LIMIT = 2 << 30
"""Bytes of all outputs of a build. The default of max_output_size in Hydra."""
FILE_LIMIT = 1 << 20
"""Bytes that are read of a file in ``nix-support``; lines beyond are skipped."""
LINE_LIMIT = 8 << 10
"""Bytes of a line; a longer line is skipped. Twice the longest path."""
ENTRY_LIMIT = 1000
"""Products, and metrics, of one derivation; further ones are skipped. One transaction writes their rows."""
NAME_LIMIT = 255
"""Characters of names of metrics, units and releases. PostgreSQL can't index texts of some thousand bytes."""

_PRODUCT = re.compile(rb'([a-zA-Z0-9_-]+)\s+([a-zA-Z0-9_-]+)\s+("[^"]+"|[^\s<>"]+)(?:\s+([^\s<>"]+))?')
_PRODUCT_NAME = re.compile(r"[a-zA-Z0-9.@:_+ -]+")
_RELEASE_NAME = re.compile(rb"[a-zA-Z0-9.@:_-]+")
_METRIC_NAME = re.compile(rb"[a-zA-Z0-9._:\[\]-]+")
_METRIC_UNIT = re.compile(rb"[a-zA-Z0-9._%-]+")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def inspect_outputs(store: Store, infos: PathInfos, outputs: Mapping[str, str]) -> dict[str, object]:
    """Return the fields of Hydra's tables for the outputs (base names by output name) of a derivation, as JSON values.

    * ``size``, ``closure_size``: bytes of NARs; a path in the closures of several outputs counts once for each.
    * ``failed``: an output has ``nix-support/failed``.
    * ``release_name``: the last valid one, as in Hydra, or ``None``.
    * ``products``: in order, with ``type``, ``subtype``, ``path`` (full), ``name``, ``default_path`` (may be empty),
      and, of regular files, ``file_size`` in bytes and ``sha256`` in base 16; ``None`` otherwise.
    * ``metrics``: ``name`` (each once), ``unit`` or ``None``, ``value``.

    Outputs are inspected in the order of their names. Regular files that are products are read completely. Raises
    :class:`StoreError` if a path is not valid, the connection ends, or the store has no directory on this machine. The
    content of the outputs raises nothing.
    """
    ordered = dict(sorted(outputs.items()))
    files = ClosureFiles(store, infos.closure(ordered.values()).keys())
    return {
        "size": sum(info.nar_size for info in infos.get_many(ordered.values()).values()),
        "closure_size": sum(infos.closure_size([path]) for path in ordered.values()),
        "failed": any(files.has_entry((path, "nix-support"), "failed") for path in ordered.values()),
        "release_name": _release_name(files, ordered),
        "products": _products(files, ordered),
        "metrics": _metrics(files, ordered),
    }


def _release_name(files: ClosureFiles, outputs: dict[str, str]) -> str | None:
    for path in reversed(outputs.values()):
        text = (files.read((path, "nix-support", "hydra-release-name"), FILE_LIMIT) or b"").strip()
        if _RELEASE_NAME.fullmatch(text) and len(text) <= NAME_LIMIT:
            return text.decode()
    return None


def _metrics(files: ClosureFiles, outputs: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the metrics; if several have one name, the last of them, as in Hydra."""
    found: dict[str, dict[str, object]] = {}
    for path in outputs.values():
        for line in _lines(files.read((path, "nix-support", "hydra-metrics"), FILE_LIMIT)):
            name, text, unit, *_ = (*line.split(), b"", b"", b"")
            if not _METRIC_NAME.fullmatch(name) or not _NUMBER.fullmatch(text) or len(name) > NAME_LIMIT:
                continue
            value = float(text)
            key = name.decode()
            if math.isfinite(value) and (key in found or len(found) < ENTRY_LIMIT):
                valid_unit = _METRIC_UNIT.fullmatch(unit) and len(unit) <= NAME_LIMIT
                found[key] = {"name": key, "unit": unit.decode() if valid_unit else None, "value": value}
    return list(found.values())


def _products(files: ClosureFiles, outputs: Mapping[str, str]) -> list[dict[str, object]]:
    texts = [files.read((path, "nix-support", "hydra-build-products"), FILE_LIMIT) for path in outputs.values()]
    if any(text is not None for text in texts):
        named = (_product(files, line) for text in texts for line in _lines(text))
        return list(islice((product for product in named if product is not None), ENTRY_LIMIT))
    return [
        {
            "type": "nix-build",
            "subtype": "" if output == "out" else output,
            "file_size": None,
            "sha256": None,
            "path": files.prefix + path,
            "name": name_part(path),
            "default_path": "",
        }
        for output, path in outputs.items()
        if files.is_directory((path,))
    ]


def _product(files: ClosureFiles, line: bytes) -> dict[str, object] | None:
    """Return the product that a line names; ``None`` if the line is malformed or the file is missing."""
    match = _PRODUCT.fullmatch(line)
    if match is None:
        return None
    try:
        kind, subtype, quoted, default_path = (part.decode() for part in match.groups(b""))
    except UnicodeDecodeError:
        return None
    parts = files.parts_of(quoted.strip('"'))
    content = files.content(parts) if parts else None
    if content is None:
        return None
    name = parts[-1] if len(parts) > 1 else ""
    return {
        "type": kind,
        "subtype": subtype,
        "file_size": content.size,
        "sha256": content.sha256,
        "path": files.prefix + "/".join(parts),
        "name": name if _PRODUCT_NAME.fullmatch(name) else "",
        "default_path": default_path,
    }


def _lines(text: bytes | None) -> Iterator[bytes]:
    """Yield the lines of a file that may be well-formed. PostgreSQL's texts can't hold NUL."""
    for line in (text or b"").split(b"\n"):
        if len(line) <= LINE_LIMIT and b"\0" not in line:
            yield line.strip()
