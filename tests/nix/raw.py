"""Derivations that no evaluator would write: assembled byte by byte, and added to a store unchanged."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from hashlib import sha256

import pytest

from hydra_resolver.nix.aterm_print import derivation_path
from hydra_resolver.nix.client import Client
from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputNode,
    Kind,
    Method,
    Output,
)
from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.placeholder import output_placeholder
from hydra_resolver.nix.resolvable import CannotResolve
from hydra_resolver.nix.resolve import Resolved, resolve
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import StoreDir

from .oracle import add_derivation, build

SYSTEM = os.uname().machine.encode() + b"-linux"
OUTPUTS: Mapping[Kind, Output] = {
    Kind.FLOATING: Floating(Method.NAR, "sha256"),
    Kind.DEFERRED: Deferred(),
    Kind.FIXED: Fixed(Method.FLAT, "sha256", sha256(b"hello").digest()),
    Kind.IMPURE: Impure(Method.NAR, "sha256"),
}
"""An output of each kind that is resolved; the fixed one has the content ``hello``."""


def shell(
    name: str,
    *,
    outputs: Mapping[str, Output] | None = None,
    env: Mapping[bytes, bytes] | None = None,
    inputs: Mapping[str, InputNode] | None = None,
    sources: tuple[str, ...] = (),
    script: bytes | None = None,
    args: tuple[bytes, ...] = (),
) -> Derivation:
    """Make a derivation with a shell as its builder; without ``script`` it prints ``hello`` to each output."""
    made = {"out": OUTPUTS[Kind.FLOATING]} if outputs is None else outputs
    if script is None:
        script = b"; ".join(b"printf hello > " + output_placeholder(output).encode() for output in made)
    return Derivation(
        name=name,
        outputs=dict(sorted(made.items())),
        input_drvs=dict(sorted((inputs or {}).items())),
        input_srcs=tuple(sorted(sources)),
        platform=SYSTEM,
        builder=b"/bin/sh",
        args=(b"-c", script, *args),
        env=dict(sorted((env or {}).items())),
    )


def random_source() -> random.Random:
    """Return a random source with a new seed, or with that of HYDRA_RESOLVER_FUZZ_SEED; print the seed."""
    seed = os.environ.get("HYDRA_RESOLVER_FUZZ_SEED") or os.urandom(4).hex()
    print(f"HYDRA_RESOLVER_FUZZ_SEED={seed}")
    return random.Random(seed)


def of_kind(kind: Kind, name: str, store_dir: StoreDir, **parts: object) -> Derivation:
    """Make a :func:`shell` of this kind; the variable of its output has the value that Nix wants."""
    derivation = shell(name, outputs={"out": OUTPUTS[kind]}, **parts)  # type: ignore[arg-type]
    if kind is Kind.FIXED:
        path = derivation.output_path("out", store_dir)
        assert path is not None
        value = store_dir.render(path).encode()
    else:
        value = b"" if kind is Kind.DEFERRED else output_placeholder("out").encode()
    return derivation.with_changes(env={b"out": value, **derivation.env})


def add_leaf(client: Client, name: str = "leaf", *outputs: str) -> str:
    """Add a floating derivation without inputs to the store; return its base name."""
    made = dict.fromkeys(outputs or ("out",), OUTPUTS[Kind.FLOATING])
    return add_derivation(client, shell(name, outputs=made, env={b"for": name.encode()}))


def what_nix_says(store: Store, client: Client, derivation: Derivation) -> str:
    """Let Nix add and build a derivation; return Nix's errors, or an empty string if both succeed."""
    try:
        drv = add_derivation(client, derivation)
    except NixError as error:
        return error.message
    return build(store, [drv]).errors


def resolve_as_if_built(
    store: Store, derivation: Derivation, input_kinds: Mapping[str, Kind] | None = None
) -> Resolved:
    """Resolve a derivation that need not be in a store; all its inputs have the same output."""
    return resolve(
        derivation,
        derivation_path(derivation, store.store_dir),
        dict.fromkeys(derivation.needed_outputs(), "0" * 32 + "-output"),
        version=store.nix_version,
        store_dir=store.store_dir,
        input_kinds=input_kinds,
    )


def assert_refused(
    store: Store, derivation: Derivation, error: type[CannotResolve], input_kinds: Mapping[str, Kind] | None = None
) -> None:
    """Assert that our resolution is refused, with the derivation and a reason in the error."""
    with pytest.raises(error) as raised:
        resolve_as_if_built(store, derivation, input_kinds)
    assert raised.value.drv_path == derivation_path(derivation, store.store_dir)
    assert raised.value.reason
    assert str(raised.value) == f"derivation '{raised.value.drv_path}' can't be resolved: {raised.value.reason}"
