"""Structured attributes that no evaluator would write: Nix keeps their text up to 2.30, and normalises it since."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from hydra_resolver.nix.aterm_print import derivation_path
from hydra_resolver.nix.client import Client
from hydra_resolver.nix.derivation import Derivation, InputNode, InputOutput, Kind
from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.placeholder import upstream_placeholder
from hydra_resolver.nix.resolvable import UnreadableAttributes
from hydra_resolver.nix.resolve import Resolved, resolve
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.structured_attrs import JSON_KEY, normalise_structured_attributes

from .oracle import add_derivation, build, differences, not_written
from .raw import add_leaf, of_kind, random_source

KINDS = (Kind.FLOATING, Kind.DEFERRED, Kind.FIXED, Kind.IMPURE)

# HOLE is a placeholder, ESCAPED is the same placeholder with an escape, PATH is the path that replaces it.
ACCEPTED = [
    b'{"b":1,"a":2,"\xc3\xa9":3,"Z":4,"":5,"\xf0\x9f\x98\x80":6,"\xef\xbf\xbf":7}',
    b'{"a":1,"b":{"c":1,"c":2},"a":[]}',
    b'{"a":"HOLE","a":1}',
    b'\xef\xbb\xbf { "a" : [ 1 , 2 ] ,\r\n\t"b" : { } } \n',
    b"{}\0what follows a zero byte is not read",
    b'{"a":[-0,0,-0.0,0.0,0e5,-0E-5,1e-400,-1e-400]}',
    b'{"a":[9223372036854775807,9223372036854775808,18446744073709551615,18446744073709551616]}',
    b'{"a":[-9223372036854775808,-9223372036854775809,123456789012345678901234567890]}',
    b'{"a":[1.0,1.50,1E5,1e+05,1e14,1e15,1e16,1e-4,1e-5,123456.789e3,2.5e22,5e-324,1.7976931348623157e308]}',
    b'{"a":[0.1,100000000000000000000.0,123456789012345.6,0.00012345,3.141592653589793238462643]}',
    b'{"a":[' + b"9" * 300 + b"," + b"0." + b"3" * 300 + b",1e" + b"0" * 300 + b"1]}",
    rb'{"a":"\u00e9\u0041\/\ud83d\uDE00\u0000\u001F\u007f\b\f\n\r\t\"\\\u2028","\u0061b":1}',
    b'{"A":1,"\\u0041":2}',
    b'{"a":"\x7f\xc2\x80\xe2\x80\xa8\xef\xbf\xbd"}',
    b'{"a":[true,false,null,[],{},[[]],{"":{}}]}',
    b'{"a":"HOLE","b":["xHOLEy",{"c":"HOLE/bin:HOLE"}]}',
    b'{"a":"ESCAPED","ESCAPED":1}',
    b'{"HOLE":1,"/9":2,"/t":3,"/z":4,"A":5}',
    b'{"HOLE":"from a placeholder","PATH":"from a path"}',
    b'{"PATH":"from a path","HOLE":"from a placeholder"}',
    b'{"z":{"xHOLE":1,"x/9":2,"x/z":3,"HOLE":4},"HOLE/bin":5}',
    b'{"builder":"HOLE","name":[],"outputs":{"out":"x"},"system":null}',
    b'{"a":' + b"[" * 5_000 + b'"HOLE"' + b"]" * 5_000 + b"}",
    b'{"a":' * 500 + b'{"b":1,"HOLE":2}' + b"}" * 500,
    b'{"a":"' + b"HOLE\\n" * 1_000 + b'"}',
]

REFUSED = [
    b"",
    b" ",
    b"[]",
    b"1",
    b'"x"',
    b"true",
    b"{",
    b"{}x",
    b"\0{}",
    b"\x0b{}",
    b"\xef\xbb{}",
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
    b"{'a':1}",
    b'{"a":1,}',
    b'{"a":[1,]}',
    b'{"a" 1}',
    b'{"a":1 "b":2}',
    b"{1:2}",
    b'{"a":1e400}',
    b'{"a":-1e400,"a":1}',
    b'{"a":1' + b"0" * 400 + b"}",
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":01}',
    b'{"a":+1}',
    b'{"a":.5}',
    b'{"a":1.}',
    b'{"a":1e}',
    b'{"a":-}',
    b'{"a":tru}',
    b'{"a":/**/1}',
    b'{"a":"\n"}',
    b'{"a":"\0"}',
    b'{"a":"x',
    rb'{"a":"\x41"}',
    rb'{"a":"\u00g0"}',
    rb'{"a":"\ud800"}',
    rb'{"a":"\ud800\u0041"}',
    rb'{"a":"\ude00\ud83d"}',
    rb'{"a":"\udc00","a":1}',
    b'{"\\ud800":1}',
    b'{"a":"\xff"}',
    b'{"a":"\xc0\x80"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xf4\x90\x80\x80"}',
    b'{"\xe9":1}',
    b'{"a":' + b"[" * 5_000 + b"]" * 4_999 + b"}",
    b'{"a":' + b"[" * 5_000 + b"1 2" + b"]" * 5_000 + b"}",
    b'{"a":' * 5_000 + b"1" + b"}" * 4_999 + b",}",
]


NUMBERS = itertools.count()


class Builder:
    """Adds derivations with structured attributes to a store, each with a name of its own."""

    def __init__(self, store: Store, client: Client) -> None:
        self.store = store
        self.client = client
        self.leaf = add_leaf(client)
        build(store, [self.leaf])
        path = client.query_derivation_output_map(self.leaf)["out"]
        assert path is not None
        hole = upstream_placeholder(self.leaf, "out").encode()
        self.outputs = {InputOutput(self.leaf, ("out",)): path}
        self.words = {b"HOLE": hole, b"ESCAPED": b"\\u002f" + hole[1:], b"PATH": store.full_path(path).encode()}

    def make(self, text: bytes, kind: Kind = Kind.FLOATING) -> Derivation:
        for word, meaning in self.words.items():
            text = text.replace(word, meaning)
        number = next(NUMBERS)
        env = {JSON_KEY: text, b"number": b"%d" % number}
        inputs = {self.leaf: InputNode(("out",))}
        return of_kind(kind, f"structured-{number}", self.client.store_dir, env=env, inputs=inputs)

    def add(self, text: bytes, kind: Kind = Kind.FLOATING) -> str:
        return add_derivation(self.client, self.make(text, kind))

    def resolve(self, derivation: Derivation) -> Resolved:
        """Resolve a derivation, which need not be in a store."""
        store_dir = self.store.store_dir
        drv = derivation_path(derivation, store_dir)
        return resolve(derivation, drv, self.outputs, version=self.store.nix_version, store_dir=store_dir)

    def check(self, drvs: list[str]) -> None:
        """Assert that Nix resolves all derivations as we do."""
        built = build(self.store, drvs)
        assert not built.errors, built.errors
        assert built.resolutions.keys() == set(drvs)
        assert not list(differences(self.store, built.resolutions))
        assert not not_written(self.store, built.resolutions)


@pytest.fixture
def builder(nix_store: Store, nix_client: Client) -> Builder:
    return Builder(nix_store, nix_client)


def test_structured_attributes_are_resolved_as_nix_resolves_them(builder: Builder) -> None:
    builder.check([builder.add(text, kind) for text in ACCEPTED for kind in KINDS])


def test_structured_attributes_are_kept_as_text_before_nix_2_31_and_normalised_since(builder: Builder) -> None:
    text = b'{ "b" : 1.50 , "a" : "\\u0041" }'
    resolved = builder.resolve(builder.make(text))
    printed = normalise_structured_attributes(text)
    expected = printed if builder.store.nix_version >= (2, 31) else text
    assert resolved.derivation.env[JSON_KEY] == expected


def random_json(source: random.Random, depth: int = 0) -> Any:
    keys = ["a", "HOLE", "xHOLE", "PATH", "/9", "/t", "", "é", "😀", '"\\', "\x01", "\uffff"]
    match source.randrange(8 if depth < 4 else 5):
        case 0:
            return source.choice([True, False, None, 0, -1, 2**63, -(2**63), 2**64, 10**30])
        case 1:
            return source.uniform(-1, 1) * 10 ** source.randrange(-30, 30)
        case 2 | 3 | 4:
            return "".join(source.choice(keys) for _ in range(source.randrange(5)))
        case 5:
            return [random_json(source, depth + 1) for _ in range(source.randrange(5))]
        case _:
            return {source.choice(keys): random_json(source, depth + 1) for _ in range(source.randrange(6))}


def random_text(source: random.Random) -> bytes:
    number = source.choice(["{:.17g}", "{:.3e}", "{:.20f}"])
    write: Callable[[float], str] = number.format

    class Number(float):
        def __repr__(self) -> str:
            return write(self)

    def written(value: Any) -> Any:
        if isinstance(value, float):
            return Number(value)
        if isinstance(value, dict):
            return {key: written(inner) for key, inner in value.items()}
        return [written(inner) for inner in value] if isinstance(value, list) else value

    text = json.dumps(
        written({"top": random_json(source), "HOLE": random_json(source), "a": random_json(source)}),
        ensure_ascii=source.random() < 0.5,
        indent=source.choice([None, 1, "\t"]),
        separators=source.choice([(",", ":"), (", ", ": "), (" ,\n", " :\r")]),
    )
    return text.encode()


def test_random_structured_attributes_are_resolved_as_nix_resolves_them(builder: Builder) -> None:
    source = random_source()
    builder.check([builder.add(random_text(source), source.choice(KINDS)) for _ in range(60)])


def test_structured_attributes_that_nix_rejects_are_refused(builder: Builder) -> None:
    for text in REFUSED:
        derivation = builder.make(text)
        with pytest.raises(UnreadableAttributes, match=rf"-{derivation.name}\.drv'.* structured attributes"):
            builder.resolve(derivation)
        # Since 2.31 Nix reads the text together with the derivation, and does not take the derivation into the store.
        if builder.store.nix_version >= (2, 31):
            with pytest.raises(NixError, match="cannot process __json"):
                add_derivation(builder.client, derivation)
        else:
            built = build(builder.store, [add_derivation(builder.client, derivation)])
            assert "cannot process __json" in built.errors or "cannot use operator[]" in built.errors, built.log


def test_a_nix_that_keeps_the_text_accepts_null_as_structured_attributes(builder: Builder) -> None:
    if builder.store.nix_version < (2, 31):
        builder.check([builder.add(b" null", kind) for kind in KINDS])
    else:
        with pytest.raises(NixError, match="must be object"):
            builder.add(b" null")
