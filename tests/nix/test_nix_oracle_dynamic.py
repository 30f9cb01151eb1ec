"""Derivations with dynamic inputs, resolved as by Nix, for versions of Nix that can build them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from hydra_resolver.nix.client import Client
from hydra_resolver.nix.derivation import (
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    InputNode,
    Kind,
    Method,
    Output,
)
from hydra_resolver.nix.placeholder import chain_placeholder
from hydra_resolver.nix.resolvable import ImpureInput, StaleOutputPath
from hydra_resolver.nix.resolve import resolve
from hydra_resolver.nix.store import Store

from .oracle import add_derivation, build, differences, instantiate, not_written
from .raw import add_leaf, assert_refused, of_kind, what_nix_says

DYNAMIC = "2.29"
"""The first version that resolves dynamic derivations. For older versions a test shows that we can do it."""

NUMBERS = itertools.count()
KINDS = (Kind.FLOATING, Kind.DEFERRED, Kind.FIXED, Kind.IMPURE)


@pytest.fixture(scope="module")
def drvs(nix_store: Store) -> set[str]:
    return instantiate(nix_store, Path(__file__).with_name("oracle-dynamic.nix"))


@pytest.mark.since(DYNAMIC)
def test_resolved_dynamic_derivations_have_the_paths_and_bytes_of_nix(nix_store: Store, drvs: set[str]) -> None:
    built = build(nix_store, drvs)
    assert not built.errors, built.errors
    assert not list(differences(nix_store, built.resolutions))
    assert not not_written(nix_store, built.resolutions)
    dynamic = {drv: one for drv in drvs if (one := nix_store.read_derivation(drv)).has_dynamic_inputs}
    assert dynamic.keys() <= built.resolutions.keys()
    chains = {wanted for one in dynamic.values() for wanted in one.needed_outputs() if len(wanted.chain) > 1}
    for number in (0, 1):
        links = {wanted.chain[number] for wanted in chains if len(wanted.chain) > number + 1}
        assert links == {"out", "first.drv", "second.drv"}
    producers = {wanted.drv_path for wanted in chains}
    assert producers & built.resolutions.keys()


@pytest.mark.before(DYNAMIC)
def test_a_nix_that_cannot_resolve_dynamic_derivations_builds_our_resolutions(
    nix_store: Store, nix_client: Client, drvs: set[str]
) -> None:
    dynamic = {drv for drv in drvs if nix_store.read_derivation(drv).has_dynamic_inputs}
    assert {nix_store.read_derivation(drv).kind for drv in dynamic} == set(KINDS)
    realised: dict[str, Mapping[str, str | None]] = {}
    for drv in sorted(dynamic):
        built = build(nix_store, [drv])
        assert "Building dynamic derivations in one shot is not yet implemented" in built.errors, built.log
        assert drv not in built.resolutions
        realise(nix_store, nix_client, drv, realised)


def realise(store: Store, client: Client, drv: str, realised: dict[str, Mapping[str, str | None]]) -> None:
    """Let Nix build one derivation after the other, each resolved by us, and put its outputs into ``realised``."""
    derivation = store.read_derivation(drv)
    outputs = {}
    for wanted in derivation.needed_outputs():
        path = wanted.drv_path
        for output in wanted.chain:
            if path not in realised:
                realise(store, client, path, realised)
            path = realised[path][output] or ""
        outputs[wanted] = path
    concrete = drv
    if derivation.input_drvs:
        resolved = resolve(derivation, drv, outputs, version=store.nix_version, store_dir=store.store_dir)
        concrete = add_derivation(client, resolved.derivation)
        assert concrete == resolved.path
    built = build(store, [concrete])
    assert not built.errors, built.log
    assert not built.resolutions
    realised[drv] = client.query_derivation_output_map(concrete)


@dataclass(frozen=True)
class Producers:
    """Derivations of several kinds in a store, all of which write the ``.drv`` of the derivation `inner`."""

    store: Store
    inner: str
    floating: str
    fixed: str
    impure: str


@pytest.fixture(scope="module")
def producers(nix_store: Store) -> Producers:
    store_dir = nix_store.store_dir
    with nix_store.connect() as client:
        inner = add_leaf(client, "inner")
        script = f"PATH=/usr/bin:/bin cp {store_dir.render(inner)} $out".encode()

        def producer(kind: Kind, output: Output) -> str:
            made = replace(
                of_kind(kind, "inner.drv", store_dir, script=script, sources=(inner,)), outputs={"out": output}
            )
            path = made.output_path("out", store_dir)
            env = made.env if path is None else {b"out": store_dir.render(path).encode()}
            return add_derivation(client, made.with_changes(env=env))

        digest = sha256(nix_store.read_derivation_text(inner)).digest()
        return Producers(
            store=nix_store,
            inner=inner,
            floating=producer(Kind.FLOATING, Floating(Method.TEXT, "sha256")),
            fixed=producer(Kind.FIXED, Fixed(Method.TEXT, "sha256", digest)),
            impure=producer(Kind.IMPURE, Impure(Method.TEXT, "sha256")),
        )


def on(producer: str, kind: Kind, store: Store, *inputs_besides: str) -> Derivation:
    """Make a derivation of this kind that needs an output of the derivation that ``producer`` writes."""
    name = f"dynamic-{next(NUMBERS)}"
    inputs = {producer: InputNode((), {"out": InputNode(("out",))})}
    inputs |= dict.fromkeys(inputs_besides, InputNode(("out",)))
    env = {b"name": name.encode(), b"made": chain_placeholder(producer, ("out", "out")).encode()}
    return of_kind(kind, name, store.store_dir, inputs=inputs, env=env)


@pytest.mark.since(DYNAMIC)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("producer", ["floating", "fixed"])
def test_chains_through_a_producer_are_resolved_as_nix_resolves_them(
    producers: Producers, nix_client: Client, producer: str, kind: Kind
) -> None:
    # `inner` has an unknown path: without it, Nix would take the output paths above a fixed producer as known.
    derivation = on(getattr(producers, producer), kind, producers.store, producers.inner)
    drv = add_derivation(nix_client, derivation)
    built = build(producers.store, [drv])
    assert not built.errors, built.errors
    assert drv in built.resolutions
    assert not list(differences(producers.store, built.resolutions))
    assert not not_written(producers.store, built.resolutions)


@pytest.mark.since(DYNAMIC)
@pytest.mark.parametrize("kind", KINDS)
def test_a_derivation_that_an_impure_producer_writes_is_not_built(
    producers: Producers, nix_client: Client, kind: Kind
) -> None:
    derivation = on(producers.impure, kind, producers.store)
    answer = what_nix_says(producers.store, nix_client, derivation)
    assert re.search("depends on impure derivation|cannot operate on output 'out' of the unbuilt derivation", answer)
    assert_refused(producers.store, derivation, ImpureInput, {producers.impure: Kind.IMPURE})


@pytest.mark.since(DYNAMIC)
def test_an_output_path_that_was_computed_without_dynamic_inputs_is_stale(
    producers: Producers, nix_client: Client
) -> None:
    store = producers.store
    derivation = on(producers.fixed, Kind.DEFERRED, store)
    # Nix computes this path without the outputs of the written derivation; its error contains the path.
    found = re.search(r"should be '([^']+)'", what_nix_says(store, nix_client, derivation))
    assert found is not None
    stale = derivation.with_changes(
        outputs={"out": InputAddressed(store.base_name(found[1]))}, env={**derivation.env, b"out": found[1].encode()}
    )
    drv = add_derivation(nix_client, stale)
    built = build(store, [drv])
    assert "has incorrect output" in built.errors
    assert drv in built.resolutions
    assert_refused(store, stale, StaleOutputPath)
