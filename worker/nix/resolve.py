"""Resolving: replacing the inputs of a derivation by the paths of their outputs.

A resolved derivation depends on no derivation: its sources contain the paths, which also replace the placeholders.
Source: ``Derivation::tryResolve`` in the source of Nix; the Nix manual, "Derivation Resolution".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from .aterm_print import derivation_path, print_derivation, print_masked
from .derivation import Derivation, Fixed, InputAddressed, InputOutput, Kind
from .placeholder import PLACEHOLDER_LENGTH, chain_placeholder
from .resolvable import (
    CannotResolve,
    StaleOutputPath,
    UnreadableAttributes,
    WrongOutputInEnvironment,
    check_resolvable,
)
from .store_path import InvalidStorePath, StoreDir, check_base_name
from .structured_attrs import (
    JSON_KEY,
    InvalidStructuredAttributes,
    check_structured_attributes,
    normalise_structured_attributes,
)
from .version import NixVersion

_PLACEHOLDER = re.compile(rb"/[0-9a-df-np-sv-z]{52}")


class MissingOutputs(LookupError):
    """Paths of needed outputs of inputs are not known (yet); ``missing`` has all of them, in Nix's order."""

    def __init__(self, drv_path: str, missing: tuple[InputOutput, ...]) -> None:
        listed = ", ".join(map(str, missing))
        super().__init__(f"derivation '{drv_path}' can't be resolved yet: the paths of {listed} are not known")
        self.drv_path = drv_path
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolved derivation: itself, the content of its ``.drv`` file, and the base name of that file."""

    derivation: Derivation
    text: bytes
    path: str


def _check_fixed_path(derivation: Derivation, drv_path: str, store_dir: StoreDir) -> None:
    for output, kind in derivation.outputs.items():
        path = derivation.output_path(output, store_dir) if isinstance(kind, Fixed) else None
        # Nix 2.26 accepts other spellings of the same path.
        if path is not None and _plain_path(derivation.env[output.encode()]) != store_dir.render(path).encode():
            raise WrongOutputInEnvironment(drv_path, _wrong_entry(output, store_dir.render(path)))


def _plain_path(path: bytes) -> bytes:
    return posixpath.normpath(b"/" + path.lstrip(b"/")) if path.startswith(b"/") else path


def resolve(
    derivation: Derivation,
    drv_path: str,
    outputs: Mapping[InputOutput, str],
    *,
    version: NixVersion,
    store_dir: StoreDir,
    input_kinds: Mapping[str, Kind] | None = None,
) -> Resolved:
    """Resolve ``derivation``, whose file is ``drv_path`` (a base name).

    ``outputs`` gives the path (a base name) of every output that the derivation needs; other outputs are ignored.
    ``version`` is the version of the Nix that will build the result: structured attributes, and wrong paths in the
    environment, are treated as it does. ``input_kinds`` gives kinds of input derivations by base name, so that
    :class:`ImpureInput` is raised; inputs that are not in it count as pure.

    Raises :class:`MissingOutputs` if outputs are missing, :class:`CannotResolve` if Nix would reject the derivation, or
    builds it as it is though it has inputs, :class:`InvalidStorePath` if an output's path is not a store path.
    Resolving twice changes nothing.
    """
    check_resolvable(derivation, drv_path, input_kinds)
    if derivation.kind is Kind.INPUT_ADDRESSED and derivation.input_drvs:
        raise StaleOutputPath(drv_path, "it is input-addressed: its output paths are made of the inputs that it has")
    _check_fixed_path(derivation, drv_path, store_dir)
    found: dict[InputOutput, str] = {}
    missing: list[InputOutput] = []
    for wanted in derivation.needed_outputs():
        path = outputs.get(wanted)
        if path is None:
            missing.append(wanted)
        else:
            found[wanted] = check_base_name(path)
    if missing:
        raise MissingOutputs(drv_path, tuple(missing))

    resolved = replace(derivation, input_drvs={}, input_srcs=tuple(sorted({*derivation.input_srcs, *found.values()})))
    try:
        resolved = _rewrite(resolved, found, version, store_dir)
        resolved = _fill(resolved, drv_path, version, store_dir)
        text = print_derivation(resolved, store_dir)
        resolved_path = derivation_path(resolved, store_dir, text)
    except InvalidStructuredAttributes as error:
        raise UnreadableAttributes(drv_path, str(error)) from None
    except InvalidStorePath as error:
        raise CannotResolve(drv_path, str(error)) from None
    return Resolved(resolved, text, resolved_path)


def _fill(derivation: Derivation, drv_path: str, version: NixVersion, store_dir: StoreDir) -> Derivation:
    """Give deferred outputs their paths."""
    if derivation.kind is not Kind.DEFERRED:
        return derivation
    filled = fill_deferred_outputs(derivation, store_dir)
    if version.refuses_other_deferred_paths:
        for output in map(str.encode, derivation.outputs):
            if derivation.env[output] not in (b"", filled.env[output]):
                raise WrongOutputInEnvironment(drv_path, _wrong_entry(output.decode(), filled.env[output].decode()))
    return filled


def _wrong_entry(output: str, expected: str) -> str:
    return f"the entry of its environment for its output '{output}' is not '{expected}'"


def fill_deferred_outputs(derivation: Derivation, store_dir: StoreDir) -> Derivation:
    """Make a deferred derivation without input derivations input-addressed: compute its output paths.

    Environment entries of the outputs' names get the paths. Raises ``InvalidStorePath`` if no path can have the name.
    """
    digest = sha256(print_masked(derivation, store_dir)).digest()
    paths = {output: store_dir.output_path(digest, derivation.name, output) for output in derivation.outputs}
    return derivation.with_changes(
        outputs={output: InputAddressed(path) for output, path in paths.items()},
        env={**derivation.env, **{output.encode(): store_dir.render(path).encode() for output, path in paths.items()}},
    )


def _rewrite(
    derivation: Derivation, found: Mapping[InputOutput, str], version: NixVersion, store_dir: StoreDir
) -> Derivation:
    """Replace the placeholders of the inputs in builder, arguments and environment.

    Nix replaces one placeholder after the other, everywhere. One pass over the text gives the same result: a
    placeholder has a slash at its beginning and nowhere else, so two placeholders never overlap, and an inserted path
    makes no new placeholder, since 32 digits and a dash follow the last slash of a store path.
    """
    rewrites = {
        chain_placeholder(wanted.drv_path, wanted.chain).encode(): store_dir.render(path).encode()
        for wanted, path in found.items()
    }

    def rewritten(text: bytes) -> bytes:
        if not rewrites or len(text) < PLACEHOLDER_LENGTH:
            return text
        return _PLACEHOLDER.sub(lambda match: rewrites.get(match[0], match[0]), text)

    normalise = normalise_structured_attributes if version.parses_structured_attrs else check_structured_attributes
    env: dict[bytes, bytes] = {}
    for name, value in derivation.env.items():
        if name == JSON_KEY:
            # Normalise before (escapes may hide a placeholder) and after (a new key may have another place).
            env[name] = normalise(rewritten(normalise(value)))
        else:
            # If two names become equal, the smaller old name wins.
            env.setdefault(rewritten(name), rewritten(value))
    return replace(
        derivation,
        builder=rewritten(derivation.builder),
        args=tuple(map(rewritten, derivation.args)),
        env=dict(sorted(env.items())),
    )
