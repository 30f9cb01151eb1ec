"""Writes derivations as Nix reads them but never writes them: with another order, repetitions, other spellings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import TypeVar

from hydra_resolver.nix.aterm_print import escape
from hydra_resolver.nix.derivation import Deferred, Derivation, InputNode
from hydra_resolver.nix.output_aterm import print_output
from hydra_resolver.nix.store_path import StoreDir

K = TypeVar("K")
V = TypeVar("V")

_MEANT = b"nrt"
"""Bytes that mean something else after a backslash."""


def print_loosely(derivation: Derivation, store_dir: StoreDir, rng: Random) -> bytes:
    """Return a random text that Nix reads as ``derivation``."""
    return _Writer(store_dir, rng).derivation(derivation)


class _Writer:
    def __init__(self, store_dir: StoreDir, rng: Random) -> None:
        self.store_dir = store_dir
        self.rng = rng

    def derivation(self, drv: Derivation) -> bytes:
        versioned = drv.has_dynamic_inputs or self.rng.random() < 0.3
        head = b"DrvWithVersion(" + self.string(b"xp-dyn-drv") + b"," if versioned else b"Derive("
        # Of two outputs with the same name the first counts; of two inputs or variables the last.
        outputs = [self.output(drv, name) for name, _ in self.items(drv.outputs)]
        if drv.outputs and self.rng.random() < 0.3:
            outputs.append(
                print_output(self.rng.choice([*drv.outputs]), Deferred(), "", self.store_dir, False).encode()
            )
        inputs = [self.entry(self.path(name), self.node(node, versioned)) for name, node in self.items(drv.input_drvs)]
        if drv.input_drvs and self.rng.random() < 0.3:
            inputs.insert(0, self.entry(self.path(self.rng.choice([*drv.input_drvs])), b'["gone"]'))
        env = [self.entry(self.string(name), self.string(value)) for name, value in self.items(drv.env)]
        if drv.env and self.rng.random() < 0.3:
            env.insert(0, self.entry(self.string(self.rng.choice([*drv.env])), b'"gone"'))
        fields = (
            self.listed(outputs),
            self.listed(inputs),
            self.listed(self.repeated(map(self.path, drv.input_srcs))),
            self.string(drv.platform),
            self.string(drv.builder),
            self.listed(map(self.string, drv.args)),
            self.listed(env),
        )
        return head + b",".join(fields) + b")" + self.rng.choice([b"", b"\n", b"and more"])

    def output(self, drv: Derivation, name: str) -> bytes:
        text = print_output(name, drv.outputs[name], drv.name, self.store_dir, False).encode()
        fields = text.removeprefix(b'("').removesuffix(b'")').split(b'","')
        return self.entry(*map(self.string, fields))

    def node(self, node: InputNode, versioned: bool) -> bytes:
        outputs = self.listed(self.repeated(self.string(output.encode()) for output in node.outputs))
        if not node.dynamic and (not versioned or self.rng.random() < 0.5):
            return outputs
        children = (
            self.entry(self.string(name.encode()), self.node(child, versioned))
            for name, child in self.items(node.dynamic)
        )
        return self.entry(outputs, self.listed(children))

    def path(self, base_name: str) -> bytes:
        if self.rng.random() < 0.8:
            return self.string(self.store_dir.render(base_name).encode())
        directory = "/".join(["", *self.store_dir.path.split("/"), self.rng.choice([".", "x/..", "", "./x\0/y/../.."])])
        return self.string(f"{directory}/{base_name}{self.rng.choice(['', '/', '/.'])}".encode())

    def string(self, text: bytes) -> bytes:
        """Write a string with needless backslashes, and without backslashes that Nix would write but does not need."""
        if self.rng.random() < 0.7:
            return b'"' + escape(text) + b'"'
        written = bytearray()
        for byte in text:
            if byte in b'"\\' or (byte not in _MEANT and self.rng.random() < 0.3):
                written += b"\\"
            written.append(byte)
        return b'"' + bytes(written) + b'"'

    def listed(self, items: Iterable[bytes]) -> bytes:
        """Write a list that may lack commas, or begin with one."""
        texts = [item for item in items for item in (self.rng.choice([b",", b",", b""]), item)]
        if not texts:
            return b"[]"
        return b"[" + b"".join(texts if self.rng.random() < 0.3 else texts[1:]) + b"]"

    def entry(self, *fields: bytes) -> bytes:
        return b"(" + b",".join(fields) + b")"

    def items(self, mapping: Mapping[K, V]) -> list[tuple[K, V]]:
        return self.rng.sample([*mapping.items()], len(mapping))

    def repeated(self, items: Iterable[bytes]) -> list[bytes]:
        texts = [*items]
        if texts and self.rng.random() < 0.3:
            texts.append(self.rng.choice(texts))
        return self.rng.sample(texts, len(texts))
