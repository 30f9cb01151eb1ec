"""What the model of the build graph speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Ended = tuple[int, bool]  # status of a build, and whether it is a cached one


class Node(NamedTuple):
    """What a .drv file says."""

    name: str
    kind: str
    outputs: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...]]
    chains: tuple[tuple[str, ...], ...] = ()  # an input, an output of it, one of what that is, and so on


class Failure(NamedTuple):
    """Of a derivation itself, for good."""

    derivation: str
    kind: str
    status: int
    time: int


@dataclass
class Goal:
    """What the graph knows of a build."""

    root: str
    opened: int
    retry: bool | None
    ended: Ended | None = None
    recorded: bool = False
    cause: Failure | None = None  # by which it ended
    built: bool = False  # by an attempt on its account, though something else is to end it


@dataclass
class Derivation:
    """Facts: they imply where it stands."""

    unloaded: bool = True  # has to be looked at
    must_resolve: bool | None = None  # None: was never loaded
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # unknown until they were needed
    chains: tuple[tuple[str, ...], ...] = ()
    wanted: frozenset[str] = frozenset()
    valid: Mapping[str, str] = field(default_factory=dict)
    verb: str | None = None  # that it is claimed for
    resolved_to: str | None = None
    failure: Failure | None = None  # its own, or that of what it was resolved to
    late: bool = False  # it was resolved to that when it had failed already
    built_for: tuple[tuple[int, int], ...] = ()  # builds, and when
    tries: int = 0
    not_before: int = 0
