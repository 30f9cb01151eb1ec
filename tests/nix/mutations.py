"""Texts of .drv files, and random damage to them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from hydra_resolver.nix.aterm_print import print_derivation
from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    InputNode,
    Method,
    Output,
)
from hydra_resolver.nix.store_path import StoreDir

NAME = "fuzz"
STORE_DIR = StoreDir("/nix/store")
SEED = "HYDRA_RESOLVER_FUZZ_SEED"
A, B, C, D = (digit * 32 for digit in "abcd")
WRONG = f"{A}-{NAME}"
"""A wrong path for input-addressed outputs: Nix's error then contains the right path."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TOKENS = (
    b'"', b"\\", b",", b"(", b")", b"[", b"]", b'",""', b'""', b"[]", b"()", b"\0", b"\xff", b"\\n", b"\n", b"\\\\",
    b"/", b"/..", b"/.", b"-", b"=", b"e", b"Z", b"0", b":", b"r:", b"text:", b"git:", b"sha1", b"sha256", b"impure",
    b"out", b"__json", b"Derive(", b'DrvWithVersion("xp-dyn-drv",', b'(["out"],[])', b'(["out"],[("a",["b"])])',
    b'("a","b")', "é".encode(),
)  # fmt: skip


def seeds() -> Iterator[str]:
    """Yield seeds for random numbers, without end; the variable HYDRA_RESOLVER_FUZZ_SEED repeats a run or one seed."""
    given = os.environ.get(SEED)
    first, _, number = given.partition("-") if given else (os.urandom(4).hex(), "", "")
    if number:
        yield f"{first}-{number}"
        return
    number_of = 0
    while True:
        yield f"{first}-{number_of}"
        number_of += 1


def texts() -> list[bytes]:
    """Return one text for each kind of derivation, with every element that a text may have, for the store STORE_DIR."""
    env = {
        b"": b"",
        b"PATH": b"/bin\n\t\r",
        b"json": b'{"a":"\\\\"}',
        b"name": b"fuzz",
        b"out": b"",
        b"\xc3\xa9": b"\0",
    }
    raw = {**env, b"raw": b"\xff\xc3", b"\xfe": b"x"}
    structured = {b"__json": b'{"a":[1,2.5,true,null],"b":{"c":"d\\n"},"name":"fuzz"}', b"out": b""}
    plain = {f"{B}-b.drv": InputNode(("bin", "out")), f"{C}-c.drv": InputNode(("out",))}
    dynamic = {
        f"{B}-b.drv.drv": InputNode(
            ("out",), {"out": InputNode(("dev", "out")), "z": InputNode((), {"y": InputNode(("x",))})}
        ),
        f"{C}-c.drv": InputNode(("out",)),
    }
    digest = bytes(range(64))
    cases: list[tuple[Mapping[str, Output], Mapping[str, InputNode], Mapping[bytes, bytes]]] = [
        ({"out": InputAddressed(WRONG)}, {}, raw),
        ({"lib": InputAddressed(f"{WRONG}-lib"), "out": InputAddressed(WRONG)}, {}, {**raw, b"lib": b"x"}),
        ({"out": InputAddressed(WRONG)}, {}, structured),
        ({"out": InputAddressed(WRONG)}, plain, raw),
        ({"out": Fixed(Method.FLAT, "sha1", digest[:20])}, plain, env),
        ({"out": Fixed(Method.NAR, "sha512", digest)}, {}, structured),
        ({"out": Fixed(Method.TEXT, "sha256", digest[:32])}, dynamic, env),
        ({"dev": Floating(Method.NAR, "sha256"), "out": Floating(Method.NAR, "sha256")}, plain, env),
        ({"out": Floating(Method.TEXT, "sha256")}, dynamic, structured),
        ({"out": Floating(Method.GIT, "sha1")}, {}, env),
        ({"bin": Deferred(), "out": Deferred()}, dynamic, {**env, b"bin": b""}),
        ({"out": Impure(Method.NAR, "sha256")}, plain, structured),
    ]  # fmt: skip
    sources, args = (f"{A}-a", f"{D}-d.tar.gz"), (b"-c", b'\\"')
    derivations = [
        Derivation(
            NAME, outputs, inputs, sources, b"x86_64-linux", b"/bin/\xe2\x98\x83", args, dict(sorted(env.items()))
        )
        for outputs, inputs, env in cases
    ]
    return [print_derivation(derivation, STORE_DIR) for derivation in derivations]


def damaged(store_dir: StoreDir) -> Iterator[tuple[str, bytes]]:
    """Yield damaged texts for a store, each with the setting that repeats it; the seeds are valid in all stores."""
    originals = texts()
    for seed in seeds():
        text = mutated(Random(seed), originals)
        yield f"{SEED}={seed}", text.replace(STORE_DIR.path.encode(), store_dir.path.encode())


def mutated(rng: Random, originals: Sequence[bytes]) -> bytes:
    """Return one of the texts with random damage."""
    text = rng.choice(originals)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        text = rng.choice(_DAMAGE)(rng, text, originals)
    return text


def _slice(rng: Random, text: bytes) -> tuple[int, int]:
    start = rng.randrange(len(text) + 1)
    return start, min(len(text), start + rng.choice((1, 1, 2, 5, 20, 200)))


def _flip(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start, _end = _slice(rng, text)
    return text[:start] + bytes([rng.randrange(256)]) + text[start + 1 :]


def _delete(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _slice(rng, text)
    return text[:start] + text[end:]


def _repeat(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _slice(rng, text)
    return text[:start] + text[start:end] * rng.choice((2, 2, 3, 50)) + text[end:]


def _move(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _slice(rng, text)
    rest = text[:start] + text[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + text[start:end] + rest[place:]


def _truncate(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    return text[: rng.randrange(len(text) + 1)]


def _splice(rng: Random, text: bytes, originals: Sequence[bytes]) -> bytes:
    other = rng.choice(originals)
    place = rng.randrange(len(text) + 1)
    return text[:place] + other[rng.choice((min(place, len(other)), rng.randrange(len(other)))) :]


def _insert(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _slice(rng, text)
    return text[:start] + rng.choice(_TOKENS) + text[rng.choice((start, end)) :]


def _run(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(_TOKENS) * rng.choice((10, 100, 1000, 10_000)) + text[place:]


def _replace_string(rng: Random, text: bytes, originals: Sequence[bytes]) -> bytes:
    """Replace one string by another one, or add a random token to it."""
    found = [*_STRING.finditer(text)]
    if not found:
        return text
    place = rng.choice(found)
    others = _STRING.findall(rng.choice(originals))
    new = rng.choice(
        (rng.choice(others), b'"' + rng.choice(_TOKENS) + place[0][1:], place[0][:-1] + rng.choice(_TOKENS) + b'"')
    )
    return text[: place.start()] + new + text[place.end() :]


def _respell(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """Remove a comma, or add a comma or a backslash: often the text keeps its meaning."""
    places = [match.start() for match in re.finditer(rb'(?<=[\[\]")])[,"(\[]|[a-zA-Z]', text)]
    if not places:
        return text
    place = rng.choice(places)
    if text[place : place + 1] == b",":
        return text[:place] + text[place + 1 :]
    return text[:place] + rng.choice((b",", b"\\")) + text[place:]


def _repeat_element(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """Repeat an element of a list, at its own place or in another list."""
    found = [*re.finditer(rb'(?:,|(?<=\[))(\("(?:[^"\\]|\\.)*",(?:"[^"\\]*"|\[[^\]]*\])[^()\[\]]*\)|"[^"\\]*")', text)]
    if not found:
        return text
    element, place = rng.choice(found)[1], rng.choice(found).start(1)
    return text[:place] + element + b"," + text[place:]


def _nest(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """Nest a list of outputs in many levels of dynamic outputs."""
    found = [*re.finditer(rb'\[("[a-z]+",?)+\]', text)]
    if not found:
        return text
    place = rng.choice(found)
    depth = rng.choice((1, 2, 10, 150, 250, 3000))
    new = b'([],[("o",' * depth + place[0] + b")])" * rng.choice((depth, depth, depth - 1))
    return text[: place.start()] + new + text[place.end() :]


_DAMAGE: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip, _delete, _repeat, _move, _truncate, _splice, _insert, _insert, _run, _replace_string, _replace_string,
    _respell, _respell, _repeat_element, _repeat_element, _nest,
)  # fmt: skip
