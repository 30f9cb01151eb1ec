"""Resolving: refused derivations, and the error of each refusal."""

from __future__ import annotations

import pytest

from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Impure,
    InputAddressed,
    InputNode,
    InputOutput,
    InvalidDerivation,
    Kind,
    Method,
)
from hydra_resolver.nix.resolvable import (
    CannotResolve,
    ImpureInput,
    InvalidOutputs,
    OutputNotInEnvironment,
    StaleOutputPath,
    UnreadableAttributes,
    UnusableOutputName,
    WrongOutputInEnvironment,
)
from hydra_resolver.nix.resolve import resolve
from hydra_resolver.nix.store_path import InvalidStorePath
from hydra_resolver.nix.version import NixVersion

from .sample import (
    DRV,
    FIXED,
    FIXED_PATH,
    FLOATING,
    LIB,
    LIB_OUT,
    NEW,
    OLD,
    OUTPUTS,
    STORE_DIR,
    TOOL_OUT,
    derivation,
    full,
    resolved,
)


def test_an_output_that_is_not_a_store_path_is_refused() -> None:
    wrong = {**OUTPUTS, InputOutput(LIB, ("out",)): "/nix/store/x"}
    with pytest.raises(InvalidStorePath):
        resolve(derivation(), DRV, wrong, version=NEW, store_dir=STORE_DIR)


@pytest.mark.parametrize(
    ("refused", "error", "version"),
    [
        (derivation(Deferred(), env={}), OutputNotInEnvironment, NEW),
        (
            derivation(InputAddressed(LIB_OUT), inputs={LIB: InputNode((), {"out": InputNode(("out",))})}),
            StaleOutputPath,
            NEW,
        ),
        (derivation(env={b"__json": b"{"}), UnreadableAttributes, NEW),
        (derivation(env={b"__json": b"{"}), UnreadableAttributes, OLD),
        (derivation(env={b"__json": b"[]"}), UnreadableAttributes, NEW),
        (derivation(env={b"__json": b"[]"}), UnreadableAttributes, OLD),
        (derivation(env={b"__json": b"null"}), UnreadableAttributes, NEW),
        (derivation(name="x" * 211), CannotResolve, NEW),
        (derivation(name="x" * 212), UnusableOutputName, NEW),
        (derivation(outputs={"o/ut": FLOATING}), UnusableOutputName, NEW),
        (derivation(Deferred(), env={b"__json": b"{}"}, outputs={"__json": Deferred()}), UnusableOutputName, NEW),
        (derivation(outputs={"out": FLOATING, "x": Deferred()}), InvalidOutputs, NEW),
        (derivation(outputs={"lib": FIXED}), InvalidOutputs, NEW),
        (derivation(inputs={LIB: InputNode(("out",)), TOOL_OUT: InputNode(("out",))}), CannotResolve, NEW),
        (derivation(InputAddressed(LIB_OUT)), StaleOutputPath, NEW),
        (derivation(InputAddressed(LIB_OUT)), StaleOutputPath, OLD),
        (derivation(FIXED, env={}), OutputNotInEnvironment, NEW),
        (derivation(FIXED, env={b"out": b""}), WrongOutputInEnvironment, NEW),
        (derivation(Deferred(), env={b"out": full(LIB_OUT)}), WrongOutputInEnvironment, NixVersion(2, 35)),
    ],
)
def test_a_derivation_that_nix_would_reject_is_refused(
    refused: Derivation, error: type[CannotResolve], version: NixVersion
) -> None:
    with pytest.raises(error, match=DRV) as caught:
        resolved(refused, version)
    assert caught.value.drv_path == DRV
    assert caught.value.reason


def test_only_fixed_and_impure_derivations_may_depend_on_impure_ones() -> None:
    kinds = {LIB: Kind.IMPURE}
    for output in (FIXED, Impure(Method.NAR, "sha256")):
        resolve(derivation(output), DRV, OUTPUTS, version=NEW, store_dir=STORE_DIR, input_kinds=kinds)
    with pytest.raises(ImpureInput, match=LIB):
        resolve(derivation(), DRV, OUTPUTS, version=NEW, store_dir=STORE_DIR, input_kinds=kinds)


def test_a_derivation_that_an_impure_derivation_writes_is_not_built() -> None:
    top = derivation(Impure(Method.NAR, "sha256"), inputs={LIB: InputNode((), {"out": InputNode(("out",))})})
    with pytest.raises(ImpureInput, match=LIB):
        resolve(top, DRV, {}, version=NEW, store_dir=STORE_DIR, input_kinds={LIB: Kind.IMPURE})


def test_a_derivation_is_refused_before_its_outputs_are_looked_up() -> None:
    with pytest.raises(OutputNotInEnvironment):
        resolve(derivation(Deferred(), env={}), DRV, {}, version=NEW, store_dir=STORE_DIR)
    with pytest.raises(CannotResolve, match=f"its input '{TOOL_OUT}' is not a derivation"):
        resolve(derivation(inputs={TOOL_OUT: InputNode(("out",))}), DRV, {}, version=NEW, store_dir=STORE_DIR)
    with pytest.raises(StaleOutputPath):
        resolve(derivation(InputAddressed(LIB_OUT)), DRV, {}, version=NEW, store_dir=STORE_DIR)


def test_incompatible_outputs_raise_invalid_derivation() -> None:
    with pytest.raises(InvalidDerivation):
        resolved(derivation(outputs={"out": FLOATING, "x": Deferred()}))


@pytest.mark.parametrize("version", [OLD, NEW, NixVersion(2, 36)])
def test_a_wrong_path_of_a_deferred_output_is_overwritten(version: NixVersion) -> None:
    empty, wrong = (derivation(Deferred(), env={b"out": value}) for value in (b"", full(LIB_OUT)))
    assert resolved(wrong, version) == resolved(empty, version)


def test_the_right_path_of_a_deferred_output_is_accepted_by_every_version() -> None:
    empty = resolved(derivation(Deferred()))
    right = derivation(Deferred(), env={b"out": empty.derivation.env[b"out"]})
    assert resolved(right, NixVersion(2, 35)) == empty


def test_the_path_of_a_fixed_output_may_be_spelled_differently() -> None:
    otherwise = derivation(FIXED, env={b"out": b"//nix/./store//" + FIXED_PATH.rpartition(b"/")[2]})
    assert resolved(otherwise).derivation.env == otherwise.env
