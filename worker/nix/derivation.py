"""Derivations, in the terms of Nix.

Source: the Nix manual, "Derivation" and "Derivation Outputs and Types of Derivations".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from .store_path import InvalidStorePath, StoreDir, check_name, output_path_name, shortened


class DerivationError(ValueError):
    """Nix would not accept the derivation."""


class InvalidDerivation(DerivationError):
    """The derivation can be read, but its outputs don't fit together."""


class InvalidOutputName(InvalidDerivation):
    """The path of an output can't have the name that it would get; Nix notices this only when it builds."""


class Method(StrEnum):
    """How content is hashed; the value is the prefix before the hash algorithm in a derivation.

    Algorithms are ``md5``, ``sha1``, ``sha256``, ``sha512`` and ``blake3``. Text is hashed with ``sha256`` only, git
    objects with ``sha1`` and ``sha256``. These rules are checked when a derivation is read, and not when it is
    constructed by hand.
    """

    FLAT = ""
    NAR = "r:"
    TEXT = "text:"
    GIT = "git:"


class Kind(StrEnum):
    """The common kind of all outputs of one derivation."""

    INPUT_ADDRESSED = "input-addressed"
    FIXED = "fixed"
    FLOATING = "floating"
    DEFERRED = "deferred"
    IMPURE = "impure"


class InputAddressed(NamedTuple):
    """An output whose path (a base name) is computed from the inputs."""

    path: str


class Fixed(NamedTuple):
    """A content-addressed output whose digest (bytes, as many as the algorithm has) is known beforehand.

    :class:`Method` lists the algorithms.
    """

    method: Method
    algorithm: str
    digest: bytes


class Floating(NamedTuple):
    """A content-addressed output whose path is known after it is built; for ``algorithm`` see :class:`Method`."""

    method: Method
    algorithm: str


class Deferred(NamedTuple):
    """An output that becomes input-addressed once the paths of all inputs are known."""


class Impure(NamedTuple):
    """An output that is built again every time, then content-addressed; for ``algorithm`` see :class:`Method`."""

    method: Method
    algorithm: str


Output: TypeAlias = InputAddressed | Fixed | Floating | Deferred | Impure
"""The properties of an output that are known before it is built."""

_KINDS: Mapping[type, Kind] = {
    InputAddressed: Kind.INPUT_ADDRESSED,
    Fixed: Kind.FIXED,
    Floating: Kind.FLOATING,
    Deferred: Kind.DEFERRED,
    Impure: Kind.IMPURE,
}
"""The kind of a derivation whose outputs are all of this class."""


class InputNode(NamedTuple):
    """The needed outputs of one input: their names (sorted), and for outputs that are derivations, nodes of their own.

    A node of ``DerivedPathMap`` in the source of Nix.
    """

    outputs: tuple[str, ...]
    dynamic: Mapping[str, InputNode] = {}


class InputOutput(NamedTuple):
    """One output that a derivation needs: of the root input ``drv_path`` (a base name), the last of ``chain``.

    For a plain input ``chain`` has one output name; every further one is an output of the derivation before it.
    """

    drv_path: str
    chain: tuple[str, ...]

    def __str__(self) -> str:
        return "^".join((self.drv_path, *self.chain))


@dataclass(frozen=True, slots=True)
class Derivation:
    """A derivation. Store paths are base names; all else is bytes, as in Nix. Mappings and sources are sorted."""

    name: str
    outputs: Mapping[str, Output]
    input_drvs: Mapping[str, InputNode]
    input_srcs: tuple[str, ...]
    platform: bytes
    builder: bytes
    args: tuple[bytes, ...]
    env: Mapping[bytes, bytes]

    @property
    def kind(self) -> Kind:
        """The kind of all outputs. Raises :class:`InvalidDerivation` where Nix does (``BasicDerivation::type``)."""
        kinds = {_KINDS[type(output)] for output in self.outputs.values()}
        if not kinds:
            raise InvalidDerivation(f"derivation '{self.name}' has no output")
        if len(kinds) > 1:
            mixed = ", ".join(sorted(kinds))
            raise InvalidDerivation(f"derivation '{self.name}' mixes kinds of outputs: {mixed}")
        kind = kinds.pop()
        if kind is Kind.FIXED and tuple(self.outputs) != ("out",):
            raise InvalidDerivation(f"fixed derivation '{self.name}' must have one output, named 'out'")
        if kind is Kind.FLOATING:
            algorithms = {output.algorithm for output in self.outputs.values() if isinstance(output, Floating)}
            if len(algorithms) > 1:
                raise InvalidDerivation(f"all floating outputs of derivation '{self.name}' must use one hash algorithm")
        return kind

    def check_output_names(self) -> None:
        """Raise :class:`InvalidOutputName` for the first output whose store path can't have its name."""
        for output in self.outputs:
            try:
                check_name(output_path_name(self.name, output))
            except InvalidStorePath as error:
                raise InvalidOutputName(f"its output '{shortened(output)}' can't have a path: {error}") from None

    @property
    def has_dynamic_inputs(self) -> bool:
        """Whether an input is an output of a derivation that is itself an output."""
        return any(node.dynamic for node in self.input_drvs.values())

    @property
    def references(self) -> list[str]:
        """The references of the ``.drv`` file (base names, sorted): sources and input derivations."""
        return sorted({*self.input_srcs, *self.input_drvs})

    def needed_outputs(self) -> Iterator[InputOutput]:
        """Yield every output of inputs that this derivation needs, in the order in which Nix queries them."""
        for drv_path, node in self.input_drvs.items():
            yield from _needed(drv_path, (), node)

    def output_path(self, output: str, store_dir: StoreDir) -> str | None:
        """Return the path (a base name) of an output, ``None`` if it is unknown before the build.

        Raises ``KeyError`` if there is no such output, ``InvalidStorePath`` if no path can have the name.
        """
        match self.outputs[output]:
            case InputAddressed(path):
                return path
            case Fixed(method, algorithm, digest):
                name = output_path_name(self.name, output)
                return store_dir.fixed_output_path(method.value, algorithm, digest, name)
            case _:
                return None

    def with_changes(
        self,
        *,
        outputs: Mapping[str, Output] | None = None,
        env: Mapping[bytes, bytes] | None = None,
    ) -> Derivation:
        """Return the same derivation with other outputs or another environment (sorted here)."""
        return replace(
            self,
            outputs=self.outputs if outputs is None else dict(sorted(outputs.items())),
            env=self.env if env is None else dict(sorted(env.items())),
        )


def _needed(drv_path: str, chain: tuple[str, ...], node: InputNode) -> Iterator[InputOutput]:
    for output in node.outputs:
        yield InputOutput(drv_path, (*chain, output))
    for output, child in node.dynamic.items():
        yield from _needed(drv_path, (*chain, output), child)
