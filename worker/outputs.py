"""What the outputs of a build say of themselves: sizes, products, metrics, the name of a release.

The files in ``nix-support`` come from the build: they may be wrong in every way, and wrong lines are passed over. Links
are followed as long as they stay in the closure of the outputs.

Sources: the Hydra manual, "Build Products"; ``crates/nix-support`` in the source of Hydra for the formats.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .nix.closure import PathInfos
from .nix.store import Store
from .nix.store_path import name_part

FILE_LIMIT = 1 << 20
"""Bytes that are read of a file in ``nix-support``; lines beyond are passed over."""
LINE_LIMIT = 8 << 10
"""Bytes of a line; a longer one is passed over. Twice the longest path."""
NAME_LIMIT = 255
"""Characters of names of metrics, units and releases. PostgreSQL can't index texts of some thousand bytes."""
LINK_LIMIT = 40
"""Symbolic links on the way to one file, as in Linux."""

_PRODUCT = re.compile(rb'([a-zA-Z0-9_-]+)\s+([a-zA-Z0-9_-]+)\s+("[^"]+"|[^\s<>"]+)(?:\s+([^\s<>"]+))?')
_PRODUCT_NAME = re.compile(r"[a-zA-Z0-9.@:_+ -]+")
_RELEASE_NAME = re.compile(rb"[a-zA-Z0-9.@:_-]+")
_METRIC_NAME = re.compile(rb"[a-zA-Z0-9._:\[\]-]+")
_METRIC_UNIT = re.compile(rb"[a-zA-Z0-9._%-]+")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def inspect_outputs(store: Store, infos: PathInfos, outputs: Mapping[str, str]) -> dict[str, object]:
    """What Hydra's tables hold of the outputs (base names by output name) of a derivation, fit for JSON.

    * ``size``, ``closure_size``: bytes of NARs; what several outputs' closures share counts for each.
    * ``failed``: an output has ``nix-support/failed``.
    * ``release_name``: the first valid one, or ``None``.
    * ``products``: in order, with ``type``, ``subtype``, ``path`` (full), ``name``, ``default_path``, and, of regular
      files, ``file_size`` in bytes and ``sha256`` in base 16; ``None`` otherwise.
    * ``metrics``: ``name`` (each once), ``unit`` or ``None``, ``value``.

    Outputs are looked at in the order of their names. Regular files that are products are read as a whole. Raises
    :class:`StoreError` when a path is not valid, the connection ends, or the store has no directory on this machine;
    nothing for what is in the outputs.
    """
    ordered = dict(sorted(outputs.items()))
    files = _Files(store, frozenset(infos.closure(ordered.values())))
    return {
        "size": sum(info.nar_size for info in infos.get_many(ordered.values()).values()),
        "closure_size": sum(infos.closure_size([path]) for path in ordered.values()),
        "failed": any(files.has_entry((path, "nix-support"), b"failed") for path in ordered.values()),
        "release_name": _release_name(files, ordered),
        "products": _products(files, ordered),
        "metrics": _metrics(files, ordered),
    }


def _release_name(files: _Files, outputs: Mapping[str, str]) -> str | None:
    for path in outputs.values():
        text = (files.read(path, "hydra-release-name") or b"").strip()
        if _RELEASE_NAME.fullmatch(text) and len(text) <= NAME_LIMIT:
            return text.decode()
    return None


def _metrics(files: _Files, outputs: Mapping[str, str]) -> list[dict[str, object]]:
    """The metrics; of those with one name the last, as in Hydra."""
    found: dict[str, dict[str, object]] = {}
    for path in outputs.values():
        for line in _lines(files.read(path, "hydra-metrics")):
            name, text, unit, *_ = (*line.split(), b"", b"", b"")
            if not _METRIC_NAME.fullmatch(name) or not _NUMBER.fullmatch(text) or len(name) > NAME_LIMIT:
                continue
            value = float(text)
            if math.isfinite(value):
                valid_unit = _METRIC_UNIT.fullmatch(unit) and len(unit) <= NAME_LIMIT
                found[name.decode()] = {
                    "name": name.decode(),
                    "unit": unit.decode() if valid_unit else None,
                    "value": value,
                }
    return list(found.values())


def _products(files: _Files, outputs: Mapping[str, str]) -> list[dict[str, object]]:
    texts = [files.read(path, "hydra-build-products") for path in outputs.values()]
    if any(text is not None for text in texts):
        found = [_product(files, line) for text in texts for line in _lines(text)]
        return [product for product in found if product is not None]
    return [
        {
            "type": "nix-build",
            "subtype": "" if output == "out" else output,
            "file_size": None,
            "sha256": None,
            "path": files.prefix + path,
            "name": name_part(path),
            "default_path": None,
        }
        for output, path in outputs.items()
        if files.is_directory(path)
    ]


def _product(files: _Files, line: bytes) -> dict[str, object] | None:
    """The product that a line names; ``None`` when it is malformed or not there."""
    match = _PRODUCT.fullmatch(line)
    if match is None:
        return None
    try:
        kind, subtype, quoted, default_path = (None if part is None else part.decode() for part in match.groups())
    except UnicodeDecodeError:
        return None
    parts = files.parts_of((quoted or "").strip('"'))
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
    """The lines of a file that may be well-formed. PostgreSQL's texts have no NUL."""
    for line in (text or b"").split(b"\n"):
        if len(line) <= LINE_LIMIT and b"\0" not in line:
            yield line.strip()


class _Content(NamedTuple):
    """Size in bytes and hash in base 16 of a regular file; ``None`` for a directory."""

    size: int | None
    sha256: str | None


class _Files:
    """Read access to a closure: paths are tuples of names below the store directory, wherever that is on this machine.

    What can't be read is not there.
    """

    def __init__(self, store: Store, closure: frozenset[str]) -> None:
        self.prefix = store.store_dir.prefix
        self._store = store
        self._closure = closure
        self._contents: dict[bytes, _Content | None] = {}

    def parts_of(self, path: str) -> tuple[str, ...]:
        """The names in a full path, with ``.`` and ``..`` taken out; none when it is not below the store directory."""
        if not path.startswith("/"):
            return ()
        parts = _normalised(path)
        root = _normalised(self.prefix)
        return tuple(parts[len(root) :]) if parts[: len(root)] == root else ()

    def has_entry(self, directory: tuple[str, ...], name: bytes) -> bool:
        """Whether a directory has an entry of that name, be it a link to nowhere."""
        found = self._locate(directory)
        return found is not None and os.path.lexists(os.path.join(found, name))  # noqa: PTH110, PTH118

    def is_directory(self, base_name: str) -> bool:
        """Whether a store path is a directory, or links to one."""
        found = self._locate((base_name,))
        return found is not None and os.path.isdir(found)  # noqa: PTH112

    def read(self, base_name: str, name: str) -> bytes | None:
        """The beginning of a regular file in ``nix-support``, up to a line's end; ``None`` when there is none."""
        found = self._locate((base_name, "nix-support", name))
        try:
            file = None if found is None else _open_regular(found)
            if file is None:
                return None
            with os.fdopen(file, "rb") as stream:
                text = stream.read(FILE_LIMIT + 1)
        except OSError:
            return None
        return text if len(text) <= FILE_LIMIT else text[: text.rfind(b"\n", 0, FILE_LIMIT + 1) + 1]

    def content(self, parts: tuple[str, ...]) -> _Content | None:
        """Size and hash of a regular file, neither for a directory; ``None`` for what is not there."""
        found = self._locate(parts)
        if found is None:
            return None
        if found not in self._contents:
            self._contents[found] = _content(found)
        return self._contents[found]

    def _locate(self, parts: tuple[str, ...]) -> bytes | None:
        """Where a path is on this machine, behind all links; ``None`` if one leads out of the closure, or nowhere."""
        root = os.fsencode(self.prefix).strip(b"/").split(b"/")
        todo = [os.fsencode(part) for part in reversed(parts)]
        done: list[bytes] = []
        links = 0
        try:
            while todo:
                part = todo.pop()
                if part == b"..":
                    if not done:
                        return None
                    done.pop()
                    continue
                done.append(part)
                target = self._link(done)
                if target is None:
                    continue
                links += 1
                if links > LINK_LIMIT:
                    return None
                names = [name for name in target.split(b"/") if name not in (b"", b".")]
                if target.startswith(b"/"):
                    if names[: len(root)] != root:
                        return None
                    names = names[len(root) :]
                    done.clear()
                else:
                    done.pop()
                todo += reversed(names)
            return self._real(done) if done else None
        except (OSError, ValueError):
            return None

    def _link(self, parts: list[bytes]) -> bytes | None:
        """Where the symbolic link at these names points to; ``None`` when it is none. Raises OSError, ValueError."""
        real = self._real(parts)
        return os.readlink(real) if stat.S_ISLNK(os.lstat(real).st_mode) else None  # noqa: PTH115, PTH116

    def _real(self, parts: list[bytes]) -> bytes:
        base_name = os.fsdecode(parts[0])
        if base_name not in self._closure:
            raise ValueError("not in the closure")
        return b"/".join((os.fsencode(self._store.real_path(base_name)), *parts[1:]))


def _normalised(path: str) -> list[str]:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _open_regular(real: bytes) -> int | None:
    """A descriptor of a regular file; ``None`` for anything else. Raises OSError."""
    file = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def _content(real: bytes) -> _Content | None:
    try:
        if stat.S_ISDIR(os.lstat(real).st_mode):  # noqa: PTH116
            return _Content(None, None)
        file = _open_regular(real)
        if file is None:
            return None
        with os.fdopen(file, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return _Content(stream.tell(), digest)
    except OSError:
        return None
