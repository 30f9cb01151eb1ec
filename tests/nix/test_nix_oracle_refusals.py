"""Derivations that Nix rejects, before or after resolving, are refused with a reason before anything is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

from hydra_resolver.nix.client import Client
from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    InputNode,
    Kind,
    Method,
)
from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.resolvable import (
    CannotResolve,
    ImpureInput,
    InvalidOutputs,
    OutputNotInEnvironment,
    StaleOutputPath,
    UnusableOutputName,
    WrongOutputInEnvironment,
)
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.structured_attrs import JSON_KEY

from .oracle import add_derivation, build, differences
from .raw import OUTPUTS, add_leaf, assert_refused, of_kind, shell, what_nix_says

FLOATING, FIXED = OUTPUTS[Kind.FLOATING], OUTPUTS[Kind.FIXED]
NUMBERS = itertools.count()
"""Gives each derivation a name of its own: Nix would take a derivation as built if only its inputs differed."""


class Inputs(NamedTuple):
    """The inputs of the cases: the store, a floating derivation in it, and an impure one."""

    store: Store
    leaf: str
    impure: str


Make = Callable[[str, Inputs], Derivation]


@pytest.fixture
def inputs(nix_store: Store, nix_client: Client) -> Inputs:
    impure = add_derivation(nix_client, of_kind(Kind.IMPURE, "impure", nix_store.store_dir))
    return Inputs(nix_store, add_leaf(nix_client), impure)


def with_outputs(outputs: dict[str, Floating | Fixed | Impure | Deferred]) -> Make:
    """Make derivations with these outputs, each with the variable that Nix wants."""

    def make(name: str, inputs: Inputs) -> Derivation:
        made = shell(name, outputs=outputs, inputs={inputs.leaf: InputNode(("out",))})
        paths = {output: made.output_path(output, inputs.store.store_dir) for output in outputs}
        env = {
            output.encode(): inputs.store.full_path(path).encode() if path else b"" for output, path in paths.items()
        }
        return made.with_changes(env={b"name": name.encode(), **env})

    return make


def with_env(kind: Kind, env: dict[bytes, bytes], *outputs: str) -> Make:
    """Make derivations of this kind with this environment."""

    def make(name: str, inputs: Inputs) -> Derivation:
        made = dict.fromkeys(outputs or ("out",), OUTPUTS[kind])
        return shell(name, outputs=made, inputs={inputs.leaf: InputNode(("out",))}, env={b"name": name.encode(), **env})

    return make


def with_long_name(kind: Kind) -> Make:
    """Make derivations with names so long that the path of one output would be invalid."""
    make = with_outputs({"out": OUTPUTS[kind], "devel": OUTPUTS[kind]})
    return lambda name, inputs: make(name.ljust(207, "n"), inputs)


def on_impure(kind: Kind) -> Make:
    """Make derivations of this kind that depend on an impure derivation."""

    def make(name: str, inputs: Inputs) -> Derivation:
        needed = {inputs.impure: InputNode(("out",))}
        return of_kind(kind, name, inputs.store.store_dir, inputs=needed, env={b"name": name.encode()})

    return make


REFUSED: dict[str, tuple[Make, type[CannotResolve], str]] = {
    "no outputs": (with_outputs({}), InvalidOutputs, "must have at least one output"),
    "kinds mixed": (
        with_outputs({"out": FLOATING, "x": Deferred()}),
        InvalidOutputs,
        "can't mix derivation output types",
    ),
    "floating, two algorithms": (
        with_outputs({"out": FLOATING, "x": Floating(Method.NAR, "sha1")}),
        InvalidOutputs,
        "must use the same hash algorithm",
    ),
    "fixed, not out": (with_outputs({"lib": FIXED}), InvalidOutputs, 'must be named "out"'),
    "fixed, two": (
        with_outputs({"lib": FIXED, "out": FIXED}),
        InvalidOutputs,
        'must be named "out"|only one fixed output is allowed',
    ),
    "fixed, no entry": (
        with_env(Kind.FIXED, {}),
        OutputNotInEnvironment,
        "(missing|incorrect) environment variable 'out'",
    ),
    "fixed, wrong entry": (
        with_env(Kind.FIXED, {b"out": b"/wrong"}),
        WrongOutputInEnvironment,
        "incorrect environment variable 'out'|'/wrong' is not in the Nix store",
    ),
    "deferred, no entry": (with_env(Kind.DEFERRED, {}), OutputNotInEnvironment, "has incorrect output"),
    "deferred, one entry of two": (
        with_env(Kind.DEFERRED, {b"out": b""}, "out", "dev"),
        OutputNotInEnvironment,
        "has incorrect output",
    ),
    "deferred, structured attributes overwritten": (
        with_env(Kind.DEFERRED, {b"out": b"", JSON_KEY: b"{}"}, "out", "__json"),
        UnusableOutputName,
        "environment variable named '__json'|cannot process __json",
    ),
    **{
        f"{kind}, illegal name of an output": (
            with_outputs({"out": OUTPUTS[kind], "a~": OUTPUTS[kind]}),
            UnusableOutputName,
            "contains illegal character '~'",
        )
        for kind in (Kind.DEFERRED, Kind.FLOATING, Kind.IMPURE)
    },
    **{
        f"{kind}, too long name of an output": (with_long_name(kind), UnusableOutputName, "is not a valid store path")
        for kind in (Kind.DEFERRED, Kind.FLOATING, Kind.IMPURE)
    },
    **{
        f"{kind} on impure": (on_impure(kind), ImpureInput, "depends on impure derivation")
        for kind in (Kind.DEFERRED, Kind.FLOATING)
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_derivation_that_nix_rejects_is_refused(nix_client: Client, inputs: Inputs, case: str) -> None:
    make, error, says = REFUSED[case]
    derivation = make(f"refused-{next(NUMBERS)}", inputs)
    assert re.search(says, what_nix_says(inputs.store, nix_client, derivation))
    assert_refused(inputs.store, derivation, error, {inputs.impure: Kind.IMPURE})


@pytest.mark.parametrize("kind", [Kind.FIXED, Kind.IMPURE])
def test_fixed_and_impure_derivations_may_have_impure_inputs(nix_client: Client, inputs: Inputs, kind: Kind) -> None:
    derivation = on_impure(kind)(f"accepted-{next(NUMBERS)}", inputs)
    assert not what_nix_says(inputs.store, nix_client, derivation)


def test_nix_builds_an_input_addressed_derivation_unresolved_and_rejects_the_resolved_one(
    nix_client: Client, inputs: Inputs
) -> None:
    store = inputs.store
    known = add_derivation(nix_client, of_kind(Kind.FIXED, f"known-{next(NUMBERS)}", store.store_dir))
    needed = {known: InputNode(("out",))}
    made = of_kind(Kind.DEFERRED, f"static-{next(NUMBERS)}", store.store_dir, inputs=needed)

    def static_at(path: str) -> Derivation:
        return made.with_changes(outputs={"out": InputAddressed(path)}, env={b"out": store.full_path(path).encode()})

    found = re.search(r"should be '([^']+)'", what_nix_says(store, nix_client, static_at(f"{'0' * 32}-{made.name}")))
    assert found is not None
    static = static_at(store.base_name(found[1]))
    drv = add_derivation(nix_client, static)
    built = build(store, [drv])
    assert not built.errors
    assert not built.resolutions
    assert_refused(store, static, StaleOutputPath)
    path = nix_client.query_derivation_output_map(known)["out"]
    assert path is not None
    with pytest.raises(NixError, match="has incorrect output"):
        add_derivation(nix_client, replace(static, input_drvs={}, input_srcs=(path,)))


@pytest.mark.before("2.35")
def test_nix_overwrites_a_wrong_output_path_in_the_environment(nix_client: Client, inputs: Inputs) -> None:
    drv = add_derivation(
        nix_client, with_env(Kind.DEFERRED, {b"out": b"/wrong"})(f"overwritten-{next(NUMBERS)}", inputs)
    )
    built = build(inputs.store, [drv])
    assert not built.errors, built.errors
    assert built.resolutions.keys() == {drv}
    assert not list(differences(inputs.store, built.resolutions))
