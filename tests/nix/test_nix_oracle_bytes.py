"""Nix and we resolve derivations of random bytes and placeholders alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hydra_resolver.nix.client import Client
from hydra_resolver.nix.derivation import InputNode, Kind
from hydra_resolver.nix.placeholder import output_placeholder, upstream_placeholder
from hydra_resolver.nix.resolve import fill_deferred_outputs
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.structured_attrs import JSON_KEY

from .oracle import add_derivation, build, differences, not_written
from .raw import add_leaf, of_kind, random_source, shell

KINDS = (Kind.FLOATING, Kind.DEFERRED, Kind.FIXED, Kind.IMPURE)
SNIPPETS = (
    b'"',
    b"\\",
    b"\n",
    b"\r",
    b"\t",
    b"\\n",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    "é😀\u2028".encode(),
    b"/",
    b"$out",
)


def random_text(source: random.Random, placeholders: Sequence[bytes], longest: int) -> bytes:
    pieces = []
    for _ in range(source.randrange(longest)):
        match source.randrange(6):
            case 0 | 1:
                pieces.append(source.choice(placeholders))
            case 2:  # a part of a placeholder
                whole = source.choice(placeholders)
                start, end = sorted(source.sample(range(len(whole) + 1), 2))
                pieces.append(whole[start:end])
            case 3:
                pieces.append(source.choice(SNIPPETS))
            case 4:
                pieces.append(source.randbytes(source.randrange(8)))
            case _:
                pieces.append(output_placeholder(source.choice(("out", "dev"))).encode())
    return b"".join(pieces)


def add_leaves(client: Client) -> dict[str, tuple[str, ...]]:
    """Add derivations without inputs; return the names of their outputs. Some have outputs with known paths."""
    store_dir = client.store_dir
    static = fill_deferred_outputs(of_kind(Kind.DEFERRED, "static", store_dir), store_dir)
    known = [add_derivation(client, made) for made in (static, of_kind(Kind.FIXED, "fixed", store_dir))]
    floating = [add_leaf(client, f"leaf{number}", "out", "dev") for number in range(3)]
    return {**dict.fromkeys(floating, ("dev", "out")), **dict.fromkeys(known, ("out",))}


def test_random_bytes_are_rewritten_as_nix_rewrites_them(nix_store: Store, nix_client: Client) -> None:
    source = random_source()
    leaves = add_leaves(nix_client)
    holes = [upstream_placeholder(drv, output).encode() for drv, outputs in leaves.items() for output in outputs]
    drvs = []
    for number in range(80):
        # Always the first one: a derivation whose inputs all have known paths cannot be deferred.
        chosen = {next(iter(leaves)), *(drv for drv in leaves if source.random() < 0.7)}
        env = {b"x" + random_text(source, holes, 4): random_text(source, holes, 12) for _ in range(source.randrange(8))}
        env |= {random_text(source, holes, 3) or b"e": random_text(source, holes, 40), b"number": b"%d" % number}
        for name in (b"out", b"dev", JSON_KEY):
            env.pop(name, None)
        made = of_kind(
            source.choice(KINDS),
            f"random-{number}",
            nix_client.store_dir,
            inputs={drv: InputNode(leaves[drv]) for drv in chosen},
            env=env,
            args=tuple(random_text(source, holes, 6) for _ in range(source.randrange(4))),
        )
        drvs.append(add_derivation(nix_client, made))
    built = build(nix_store, drvs)
    assert not built.errors, built.errors
    assert built.resolutions.keys() == set(drvs)
    assert not list(differences(nix_store, built.resolutions))
    assert not not_written(nix_store, built.resolutions)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_not_utf8_stay_unchanged_everywhere(nix_store: Store, nix_client: Client, kind: Kind) -> None:
    own = output_placeholder("out").encode()
    script = b"PATH=/usr/bin:/bin; mkdir %b; ln -s /bin/sh '%b/\xff'" % (own, own)
    leaf = add_derivation(nix_client, shell("shell", script=script))
    hole = upstream_placeholder(leaf, "out").encode()
    made = of_kind(
        kind,
        f"bytes-{kind}",
        nix_client.store_dir,
        inputs={leaf: InputNode(("out",))},
        env={b"\xc3" + hole: b"a name", b"value": b"\xed\xa0\x80" + hole + b"\xff"},
        args=(b"\xff" + hole + b"\xc3",),
    )
    drv = add_derivation(nix_client, replace(made, builder=hole + b"/\xff"))
    built = build(nix_store, [drv])
    assert not built.errors, built.errors
    assert not list(differences(nix_store, built.resolutions))
    text = nix_store.read_derivation_text(built.resolutions[drv])
    output = nix_client.query_derivation_output_map(leaf)["out"]
    assert output is not None
    path = nix_store.full_path(output).encode()
    for part in (path + b"/\xff", b"\xff" + path + b"\xc3", b"\xc3" + path, b"\xed\xa0\x80" + path + b"\xff"):
        assert part in text


def test_placeholders_in_the_platform_are_not_replaced(nix_store: Store, nix_client: Client) -> None:
    leaf = add_leaf(nix_client)
    hole = upstream_placeholder(leaf, "out").encode()
    made = of_kind(Kind.FLOATING, "platform", nix_client.store_dir, inputs={leaf: InputNode(("out",))}, args=(hole,))
    drv = add_derivation(nix_client, replace(made, platform=hole))
    built = build(nix_store, [drv])
    # Nix can build nothing for such a platform, but it resolves the derivation before it says so.
    assert built.errors
    assert built.resolutions.keys() == {drv}
    assert not list(differences(nix_store, built.resolutions))
