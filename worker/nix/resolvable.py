"""Whether a derivation can be resolved, and the errors that say why it can't be.

Source: ``Derivation::tryResolve`` and ``Derivation::checkInvariants`` in the source of Nix.
"""

from __future__ import annotations

from collections.abc import Mapping

from .derivation import Deferred, Derivation, DerivationError, InvalidDerivation, InvalidOutputName, Kind
from .store_path import InvalidStorePath, derivation_name
from .structured_attrs import JSON_KEY
from .version import NixVersion


class CannotResolve(DerivationError):
    """A derivation that can't be resolved for good. ``drv_path`` is a base name, ``reason`` one sentence."""

    def __init__(self, drv_path: str, reason: str) -> None:
        super().__init__(f"derivation '{drv_path}' can't be resolved: {reason}")
        self.drv_path = drv_path
        self.reason = reason


class InvalidOutputs(CannotResolve, InvalidDerivation):
    """Outputs that don't fit together: Nix does not even take such a derivation into a store."""


class UnusableOutputName(CannotResolve):
    """An output whose path can't have the name that it would get, which Nix only notices when it builds."""


class OutputNotInEnvironment(CannotResolve):
    """An output without an environment entry of its name: Nix would reject the derivation it writes itself."""


class WrongOutputInEnvironment(CannotResolve):
    """An output whose environment entry is another path than its own."""


class StaleOutputPath(CannotResolve):
    """An input-addressed derivation with inputs: its paths are made of these, and Nix rejects them when it has others.

    Nix builds it as it is; but with dynamic inputs its paths can't be right, and nothing can be built.
    """


class ImpureInput(CannotResolve):
    """A derivation that depends on an impure one, and is neither fixed nor impure; or on what an impure one makes."""


class UnreadableAttributes(CannotResolve):
    """Structured attributes that Nix can't read, before or after placeholders were replaced."""


def should_resolve(derivation: Derivation, version: NixVersion) -> bool:
    """Whether Nix, with ca-derivations on, resolves this derivation before it builds it.

    Raises :class:`InvalidDerivation` when its outputs don't fit together.
    """
    if not derivation.input_drvs:
        return False
    if derivation.kind is not Kind.INPUT_ADDRESSED:
        return True
    return derivation.has_dynamic_inputs and version.resolves_any_kind_with_dynamic_inputs


def check_resolvable(derivation: Derivation, drv_path: str, input_kinds: Mapping[str, Kind] | None = None) -> None:
    """Raise the :class:`CannotResolve` that ``derivation`` deserves, if any, before anything is looked up.

    ``input_kinds`` tells the kind of input derivations by base name; those that are not there are taken for pure.
    A derivation that Nix builds as it is passes as well.
    """
    try:
        kind = derivation.kind
    except InvalidDerivation as error:
        raise InvalidOutputs(drv_path, str(error)) from None
    _check_output_names(derivation, drv_path)
    _check_input_names(derivation, drv_path)
    if kind is Kind.INPUT_ADDRESSED and derivation.has_dynamic_inputs:
        raise StaleOutputPath(drv_path, "it is input-addressed, but its inputs are not known before others are built")
    if kind in (Kind.DEFERRED, Kind.FIXED):
        for output in derivation.outputs:
            if output.encode() not in derivation.env:
                raise OutputNotInEnvironment(drv_path, f"its environment has no entry for its output '{output}'")
    if input_kinds:
        _check_inputs(derivation, drv_path, kind, input_kinds)


def _check_inputs(derivation: Derivation, drv_path: str, kind: Kind, input_kinds: Mapping[str, Kind]) -> None:
    for input_drv, node in derivation.input_drvs.items():
        if input_kinds.get(input_drv) is Kind.IMPURE:
            if kind not in (Kind.FIXED, Kind.IMPURE):
                raise ImpureInput(drv_path, f"it depends on the impure derivation '{input_drv}'")
            if node.dynamic:
                raise ImpureInput(drv_path, f"Nix does not build what the impure derivation '{input_drv}' makes")


def _check_input_names(derivation: Derivation, drv_path: str) -> None:
    for input_drv in derivation.input_drvs:
        try:
            derivation_name(input_drv)
        except InvalidStorePath as error:
            raise CannotResolve(drv_path, f"its input {error}") from None


def _check_output_names(derivation: Derivation, drv_path: str) -> None:
    try:
        derivation.check_output_names()
    except InvalidOutputName as error:
        raise UnusableOutputName(drv_path, str(error)) from None
    for output in derivation.outputs:
        if output.encode() == JSON_KEY and isinstance(derivation.outputs[output], Deferred):
            raise UnusableOutputName(drv_path, f"the path of its output '{output}' would be structured attributes")
