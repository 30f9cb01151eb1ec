"""Reading ``.drv`` files: the ATerm form of derivations.

The reader accepts what Nix accepts and normalises as Nix does: sets are sorted and freed of duplicates; of two inputs
or environment entries with one name the last counts, of two outputs the first; bytes after the last parenthesis are
ignored. It refuses only what Nix can read but never build: names of outputs that are not ASCII, fixed outputs without a
path, store paths without the dash, and chains of dynamic outputs that are longer than MAX_DYNAMIC_DEPTH.

Source: the Nix manual, "Derivation ATerm Format"; ``parseDerivation`` in the source of Nix.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import itemgetter
from typing import TypeVar

from .derivation import Derivation, DerivationError, InputNode, Output
from .output_aterm import parse_output
from .store_path import BASE_NAME_PATTERN, InvalidStorePath, StoreDir

_K = TypeVar("_K", str, bytes)
_V = TypeVar("_V")

_TEXT = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_STRING = re.compile(_TEXT, re.DOTALL)
_ITEM = re.compile(b",?" + _TEXT, re.DOTALL)
_ENTRY = re.compile(rb",?\(" + _TEXT + b"," + _TEXT + rb"\)", re.DOTALL)
_OUTPUT = re.compile(rb",?\(" + b",".join([_TEXT] * 4) + rb"\)", re.DOTALL)

MAX_DYNAMIC_DEPTH = 200
"""The longest chain of dynamic outputs; longer ones are refused. Nix sets no limit but its stack."""


class MalformedDerivation(DerivationError):
    """The text is not a derivation. ``position`` is the offset in bytes where reading stopped."""

    def __init__(self, name: str, position: int, reason: str) -> None:
        super().__init__(f"derivation '{name}' is malformed at byte {position}: {reason}")
        self.name = name
        self.position = position
        self.reason = reason


@lru_cache(maxsize=16)
def _path_patterns(store_dir: StoreDir) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    path = b'"' + re.escape(store_dir.prefix.encode()) + b"(" + BASE_NAME_PATTERN.encode() + b')"'
    return re.compile(b",?" + path), re.compile(rb",?\(" + path + rb',\[((?:,?"[^"\\]*")*+)\]\)')


def unescape(text: bytes) -> bytes:
    """Return the bytes that an escaped string stands for."""
    if b"\\" not in text:
        return text
    # Within the pieces no backslash is escaped, so the order of replacement does not matter.
    return b"\\".join(
        piece.replace(b"\\n", b"\n").replace(b"\\r", b"\r").replace(b"\\t", b"\t").replace(b"\\", b"")
        for piece in text.split(b"\\\\")
    )


class _Reader:
    """A cursor over the text. Regular expressions read the usual form; other forms are read in detail."""

    def __init__(self, text: bytes, name: str, store_dir: StoreDir) -> None:
        self.text = text
        self.name = name
        self.store_dir = store_dir
        self.position = 0

    def error(self, reason: str, position: int | None = None) -> MalformedDerivation:
        if len(reason) > 500:
            reason = f"{reason[:300]} ... {reason[-100:]}"
        return MalformedDerivation(self.name, self.position if position is None else position, reason)

    def expect(self, token: bytes) -> None:
        if not self.text.startswith(token, self.position):
            raise self.error(f"expected {token.decode()!r}")
        self.position += len(token)

    def string(self) -> bytes:
        match = _STRING.match(self.text, self.position)
        if match is None:
            raise self.error("expected a string")
        self.position = match.end()
        return unescape(match[1])

    def word(self) -> str:
        start = self.position
        try:
            return self.string().decode("ascii")
        except UnicodeDecodeError:
            raise self.error("expected ASCII characters only", start) from None

    def path(self) -> str:
        start = self.position
        try:
            return self.store_dir.parse(_shown(self.string()))
        except InvalidStorePath as error:
            raise self.error(str(error), start) from None

    def at_end_of_list(self) -> bool:
        if self.text.startswith(b"]", self.position):
            self.position += 1
            return True
        if self.text.startswith(b",", self.position):
            self.position += 1
        return False

    def strings(self) -> list[bytes]:
        self.expect(b"[")
        found = []
        while (match := _ITEM.match(self.text, self.position)) is not None:
            found.append(unescape(match[1]))
            self.position = match.end()
        self.expect(b"]")
        return found

    def words(self) -> tuple[str, ...]:
        self.expect(b"[")
        found = set()
        while not self.at_end_of_list():
            found.add(self.word())
        return tuple(sorted(found))

    def outputs(self) -> dict[str, Output]:
        self.expect(b"[")
        found: dict[str, Output] = {}
        while not self.at_end_of_list():
            start = self.position
            match = _OUTPUT.match(self.text, start)
            if match is None or match[0].startswith(b","):
                raise self.error("expected an output: a name, a path, a hash algorithm, a hash")
            self.position = match.end()
            try:
                name = unescape(match[1]).decode("ascii")
                path, algorithm, digest = (_shown(unescape(field)) for field in match.groups()[1:])
                output = parse_output(self.name, name, path, algorithm, digest, store_dir=self.store_dir)
            except UnicodeDecodeError:
                raise self.error("expected ASCII characters only", start) from None
            except ValueError as error:
                raise self.error(str(error), start) from None
            found.setdefault(name, output)
        return _sorted(found)

    def input_drvs(self, versioned: bool) -> dict[str, InputNode]:
        self.expect(b"[")
        entry = _path_patterns(self.store_dir)[1].match
        text = self.text
        found = {}
        while True:
            match = entry(text, self.position)
            if match is not None and match[2].isascii():
                path, names = match.groups()
                outputs = tuple(names[1:-1].decode().split('","')) if names else ()
                # A text that Nix did not write: empty names, no commas, a wrong order.
                regular = len(outputs) < 2 or all(map(str.__lt__, outputs, outputs[1:]))
                if regular and '"' not in "".join(outputs) and "" not in outputs:
                    found[path.decode()] = InputNode(outputs)
                    self.position = match.end()
                    continue
            if self.at_end_of_list():
                return _sorted(found)
            self.expect(b"(")
            name = self.path()
            self.expect(b",")
            found[name] = self.node(versioned, 0)
            self.expect(b")")

    def node(self, versioned: bool, depth: int) -> InputNode:
        if not versioned or not self.text.startswith(b"(", self.position):
            return InputNode(self.words())
        if depth > MAX_DYNAMIC_DEPTH:
            raise self.error("the chain of dynamic outputs is too long")
        self.expect(b"(")
        outputs = self.words()
        self.expect(b",[")
        dynamic = {}
        while not self.at_end_of_list():
            self.expect(b"(")
            name = self.word()
            self.expect(b",")
            dynamic[name] = self.node(versioned, depth + 1)
            self.expect(b")")
        self.expect(b")")
        return InputNode(outputs, _sorted(dynamic))

    def input_srcs(self) -> tuple[str, ...]:
        self.expect(b"[")
        item = _path_patterns(self.store_dir)[0].match
        found = set()
        while True:
            match = item(self.text, self.position)
            if match is not None:
                found.add(match[1].decode())
                self.position = match.end()
            elif self.at_end_of_list():
                return tuple(sorted(found))
            else:
                found.add(self.path())

    def env(self) -> dict[bytes, bytes]:
        self.expect(b"[")
        text, entry, position = self.text, _ENTRY.match, self.position
        found = {}
        while (match := entry(text, position)) is not None:
            name, value = match.groups()
            found[unescape(name)] = unescape(value)
            position = match.end()
        self.position = position
        if not self.at_end_of_list():
            self.expect(b"(")
            self.string()
            self.expect(b",")
            self.string()
            self.expect(b")")
        return _sorted(found)


def _shown(text: bytes) -> str:
    """Decode a field that is UTF-8 if it is valid; other bytes are escaped, to be shown in an error."""
    return text.decode("utf-8", errors="backslashreplace")


def _sorted(entries: dict[_K, _V]) -> dict[_K, _V]:
    return dict(sorted(entries.items(), key=itemgetter(0)))


def parse_derivation(text: bytes, name: str, store_dir: StoreDir) -> Derivation:
    """Read the content of a ``.drv`` file. ``name`` is the derivation's name (the text does not contain it).

    Raises :class:`MalformedDerivation`, with the position, if the text is not a derivation of this store.
    """
    reader = _Reader(text, name, store_dir)
    versioned = text.startswith(b"DrvWithVersion(")
    reader.expect(b"DrvWithVersion(" if versioned else b"Derive(")
    if versioned:
        start = reader.position
        if reader.string() != b"xp-dyn-drv":
            raise reader.error("unknown version of the format", start)
        reader.expect(b",")
    outputs = reader.outputs()
    reader.expect(b",")
    input_drvs = reader.input_drvs(versioned)
    reader.expect(b",")
    input_srcs = reader.input_srcs()
    reader.expect(b",")
    platform = reader.string()
    reader.expect(b",")
    builder = reader.string()
    reader.expect(b",")
    args = tuple(reader.strings())
    reader.expect(b",")
    env = reader.env()
    reader.expect(b")")
    return Derivation(name, outputs, input_drvs, input_srcs, platform, builder, args, env)
