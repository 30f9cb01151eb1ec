"""The types of the model of the build graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Ended = tuple[int, bool]  # status of a build; whether the build is cached


class Node(NamedTuple):
    """The contents of a .drv file."""

    name: str
    kind: str
    outputs: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...]]
    chains: tuple[tuple[str, ...], ...] = ()  # each: an input, its output, an output of the .drv in that, ...


class Failure(NamedTuple):
    """A permanent failure of the derivation itself."""

    derivation: str
    kind: str
    status: int
    time: int


@dataclass
class Goal:
    """The graph's state of a build."""

    root: str
    opened: int
    retry: bool | None
    ended: Ended | None = None
    recorded: bool = False
    cause: Failure | None = None  # the failure that ended it
    built: bool = False  # whether an attempt on the build's account succeeded, even if something else ends the build


@dataclass
class Derivation:
    """Facts about a derivation, from which its stage follows."""

    unloaded: bool = True  # must be loaded again
    must_resolve: bool | None = None  # None: never loaded
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # unknown until an attempt needs them
    chains: tuple[tuple[str, ...], ...] = ()
    wanted: frozenset[str] = frozenset()
    valid: Mapping[str, str] = field(default_factory=dict)
    verb: str | None = None  # the verb of its open claim
    resolved_to: str | None = None
    failure: Failure | None = None  # its own, or that of the derivation it resolved to
    late: bool = False  # whether `failure` was there before the resolution
    built_for: tuple[tuple[int, int], ...] = ()  # builds, and when
    tries: int = 0
    not_before: int = 0
