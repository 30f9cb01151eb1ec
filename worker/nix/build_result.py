"""The result of a build, in Nix's words.

Source: ``BuildResult`` in the source of Nix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class BuildStatus(IntEnum):
    """Nix's status of a build. Statuses of later versions of Nix become ``UNKNOWN``."""

    BUILT = 0
    SUBSTITUTED = 1
    ALREADY_VALID = 2
    PERMANENT_FAILURE = 3
    INPUT_REJECTED = 4
    OUTPUT_REJECTED = 5
    TRANSIENT_FAILURE = 6
    CACHED_FAILURE = 7
    TIMED_OUT = 8
    MISC_FAILURE = 9
    DEPENDENCY_FAILED = 10
    LOG_LIMIT_EXCEEDED = 11
    NOT_DETERMINISTIC = 12
    RESOLVES_TO_ALREADY_VALID = 13
    NO_SUBSTITUTERS = 14
    UNKNOWN = -1

    @property
    def succeeded(self) -> bool:
        """Whether the outputs exist."""
        return self in _SUCCESSES


_SUCCESSES = frozenset(
    {
        BuildStatus.BUILT,
        BuildStatus.SUBSTITUTED,
        BuildStatus.ALREADY_VALID,
        BuildStatus.RESOLVES_TO_ALREADY_VALID,
    }
)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The result for one derivation.

    ``error`` is without terminal colours. ``started`` and ``stopped`` are seconds since 1970, 0 if Nix does not report
    them (2.34 does not). CPU times in microseconds, ``None`` if unknown. ``built_outputs`` gives base names by output
    name; it may be incomplete.
    """

    status: BuildStatus
    error: str
    times_built: int = 0
    is_non_deterministic: bool = False
    started: int = 0
    stopped: int = 0
    cpu_user: int | None = None
    cpu_system: int | None = None
    built_outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether the outputs exist."""
        return self.status.succeeded
