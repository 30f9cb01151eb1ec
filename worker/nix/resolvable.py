"""Checks whether a derivation can be resolved, and the errors for derivations that can't.

Source: ``Derivation::tryResolve`` and ``Derivation::checkInvariants`` in the source of Nix.
"""

from __future__ import annotations

from collections.abc import Mapping

from .derivation import Deferred, Derivation, DerivationError, InvalidDerivation, InvalidOutputName, Kind
from .store_path import InvalidStorePath, derivation_name
from .structured_attrs import JSON_KEY
from .version import NixVersion


class CannotResolve(DerivationError):
    """The derivation can never be resolved. ``drv_path`` is a base name, ``reason`` one sentence."""

    def __init__(self, drv_path: str, reason: str) -> None:
        super().__init__(f"derivation '{drv_path}' can't be resolved: {reason}")
        self.drv_path = drv_path
        self.reason = reason


class InvalidOutputs(CannotResolve, InvalidDerivation):
    """The outputs don't fit together: Nix does not even add such a derivation to a store."""


class UnusableOutputName(CannotResolve):
    """The path of an output can't have the name that it would get; Nix notices this only when it builds."""


class OutputNotInEnvironment(CannotResolve):
    """An output has no environment entry of its name: Nix would reject the derivation it writes itself."""


class WrongOutputInEnvironment(CannotResolve):
    """The environment entry of an output is another path than the output's own."""


class StaleOutputPath(CannotResolve):
    """The derivation is input-addressed and has inputs: its paths come from these, and Nix rejects other inputs.

    Nix builds it as it is; but with dynamic inputs its paths can't be right, and it can't be built.
    """


class ImpureInput(CannotResolve):
    """The derivation depends on an impure one, and is neither fixed nor impure; or on a derivation that one writes."""


class UnreadableAttributes(CannotResolve):
    """Nix can't read the structured attributes, before or after placeholders were replaced."""


def should_resolve(derivation: Derivation, version: NixVersion) -> bool:
    """Return whether Nix, with ca-derivations on, resolves this derivation before it builds it.

    Raises :class:`InvalidDerivation` if its outputs don't fit together.
    """
    if not derivation.input_drvs:
        return False
    if derivation.kind is not Kind.INPUT_ADDRESSED:
        return True
    return derivation.has_dynamic_inputs and version.resolves_any_kind_with_dynamic_inputs


def check_resolvable(derivation: Derivation, drv_path: str, input_kinds: Mapping[str, Kind] | None = None) -> None:
    """Raise the :class:`CannotResolve` for ``derivation``, if any, before the outputs of its inputs are known.

    ``input_kinds`` gives the kinds of input derivations by base name; inputs that are not in it count as pure. A
    derivation that Nix builds as it is passes as well.
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
                raise ImpureInput(drv_path, f"Nix does not build a derivation that the impure '{input_drv}' writes")


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
