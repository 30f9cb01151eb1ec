"""Store paths: Nix's names for the objects in a store.

A store path is kept as its *base name* (``hash-name``, a ``str``); a :class:`StoreDir` turns it into a full path and
back. The store directory is part of every hash, so every function that computes a path takes a :class:`StoreDir`.

Source: the Nix manual, "Complete Store Path Calculation" and "Store Path".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

_NIX32_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
"""The digits of Nix's base 32, by their values."""
HASH_LENGTH = 32
"""Characters of the hash part of a store path."""

BASE_NAME_PATTERN = r"[0-9a-df-np-sv-z]{32}-(?!\.\.?(?:-|\"|\Z))[0-9a-zA-Z+\-._?=]{1,211}"
"""A regular expression for base names; a quote or the end of the text has to follow."""

_BASE_NAME = re.compile(BASE_NAME_PATTERN)
_NAME = re.compile(r"(?!\.\.?(?:-|\Z))[0-9a-zA-Z+\-._?=]{1,211}")
_PAIRS = [high + low for high in _NIX32_ALPHABET for low in _NIX32_ALPHABET]


class InvalidStorePath(ValueError):
    """The text is not a store path of this store, or not a name that a store path may have."""


def shortened(text: str) -> str:
    """Return a text for a message: if it is longer than any name, its beginning, its end, and its length."""
    return text if len(text) <= 300 else f"{text[:100]} ... {text[-50:]} ({len(text)} characters)"


def nix32(digest: bytes) -> str:
    """Return a digest in Nix's base 32: 52 characters for 32 bytes, 32 for 20 bytes."""
    number = int.from_bytes(digest, "little")
    length = (len(digest) * 8 + 4) // 5
    pairs = _PAIRS
    shifts = range((length + 1) // 2 * 10 - 10, -1, -10)
    text = "".join([pairs[number >> shift & 1023] for shift in shifts])
    return text if len(text) == length else text[1:]


def parse_nix32(text: str) -> bytes:
    """Read the output of :func:`nix32`. Raises ``ValueError`` if it is not the base 32 form of any digest."""
    number = 0
    for character in text:
        digit = _NIX32_ALPHABET.find(character)
        if digit < 0:
            raise ValueError(f"'{character}' is not a base-32 digit of Nix")
        number = number << 5 | digit
    size = len(text) * 5 // 8
    try:
        return number.to_bytes(size, "little")
    except OverflowError:
        raise ValueError(f"'{text}' is not a hash in Nix's base 32") from None


def compress_hash(digest: bytes, size: int = 20) -> bytes:
    """Fold a digest to ``size`` bytes by exclusive or, as Nix does for the hash part of store paths."""
    folded = 0
    for start in range(0, len(digest), size):
        folded ^= int.from_bytes(digest[start : start + size], "little")
    return folded.to_bytes(size, "little")


def check_name(name: str) -> str:
    """Return ``name`` if a store path may have it. Raises :class:`InvalidStorePath` otherwise."""
    if not _NAME.fullmatch(name):
        raise InvalidStorePath(
            f"'{shortened(name)}' can't be the name of a store path: 1 to 211 of the characters "
            "0-9 a-z A-Z + - . _ ? = are allowed, and it must not be '.' or '..' or begin with '.-' or '..-'"
        )
    return name


def check_base_name(base_name: str) -> str:
    """Return ``base_name`` if it is ``hash-name``. Raises :class:`InvalidStorePath` otherwise."""
    if not _BASE_NAME.fullmatch(base_name):
        raise InvalidStorePath(f"'{base_name}' is not the base name of a store path: 32 base-32 digits, '-', a name")
    return base_name


def _without_detours(path: str) -> str:
    """Normalise an absolute path as ``canonPath`` in Nix does, without a look at symbolic links; keep other texts."""
    if not path.startswith("/"):
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def hash_part(base_name: str) -> str:
    """Return the 32 characters before the name."""
    return base_name[:HASH_LENGTH]


def name_part(base_name: str) -> str:
    """Return the name, without hash and dash."""
    return base_name[HASH_LENGTH + 1 :]


def derivation_name(drv_path: str) -> str:
    """Return the name of the derivation in ``drv_path`` (a base name): the name part without one final ``.drv``.

    Raises :class:`InvalidStorePath` if the file is not named like a derivation.
    """
    if not drv_path.endswith(".drv"):
        raise InvalidStorePath(f"'{drv_path}' is not a derivation: its name does not end in '.drv'")
    return drv_path[HASH_LENGTH + 1 : -4]


def output_path_name(drv_name: str, output: str) -> str:
    """Return the name of the store path of an output: the derivation's name, with ``-output`` unless it is ``out``."""
    return drv_name if output == "out" else f"{drv_name}-{output}"


@dataclass(frozen=True, slots=True)
class StoreDir:
    """The store directory, ``/nix/store`` in most stores: an absolute path without a final slash.

    Two stores whose directories differ have different paths for the same content.
    """

    path: str
    prefix: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or self.path.endswith("/"):
            raise InvalidStorePath(f"'{self.path}' can't be a store directory: it must be absolute, not end in '/'")
        object.__setattr__(self, "prefix", self.path + "/")

    def render(self, base_name: str) -> str:
        """Return the full path of a base name."""
        return self.prefix + base_name

    def parse(self, path: str) -> str:
        """Return the base name of a full path; detours (``//``, ``.``, ``..``) are allowed, as in Nix.

        Raises :class:`InvalidStorePath` if it is not a path of this store.
        """
        plain = _without_detours(path)
        if not plain.startswith(self.prefix):
            raise InvalidStorePath(f"'{path}' is not in the store directory '{self.path}'")
        return check_base_name(plain[len(self.prefix) :])

    def make_store_path(self, kind: str, digest: bytes, name: str) -> str:
        """Return the base name of the path with this type, sha256 digest and name (``makeStorePath`` in Nix)."""
        fingerprint = f"{kind}:sha256:{digest.hex()}:{self.path}:{name}"
        return f"{nix32(compress_hash(sha256(fingerprint.encode()).digest()))}-{check_name(name)}"

    def text_path(self, name: str, content: bytes, references: Iterable[str]) -> str:
        """Return the base name of a text file with these references (base names); ``.drv`` files are text files."""
        kind = "".join(["text", *(f":{self.prefix}{reference}" for reference in sorted(references))])
        return self.make_store_path(kind, sha256(content).digest(), name)

    def output_path(self, digest: bytes, drv_name: str, output: str) -> str:
        """Return the base name of an input-addressed output; ``digest``: the derivation's (modulo, masked)."""
        return self.make_store_path(f"output:{output}", digest, output_path_name(drv_name, output))

    def unfinished_output_path(self, drv_path: str, output: str) -> str:
        """Return the path where Nix builds an output of unknown path: a floating output of ``drv_path`` (a base name).

        Source: the Nix manual, "Complete Store Path Calculation", type ``rewrite``.
        """
        name = output_path_name(derivation_name(drv_path), output)
        return self.make_store_path(f"rewrite:{drv_path}:name:{output}", bytes(32), name)

    def fixed_output_path(self, method_prefix: str, algorithm: str, digest: bytes, name: str) -> str:
        """Return the base name of a fixed content-addressed output without references.

        ``method_prefix`` is Nix's: ``""`` flat, ``"r:"`` nar, ``"git:"``, ``"text:"``.
        """
        if method_prefix == "text:":
            return self.make_store_path("text", digest, name)
        if method_prefix == "r:" and algorithm == "sha256":
            return self.make_store_path("source", digest, name)
        inner = f"fixed:out:{method_prefix}{algorithm}:{digest.hex()}:"
        return self.make_store_path("output:out", sha256(inner.encode()).digest(), name)
