"""How a build ended, in Nix's words.

Source: ``BuildResult`` in the source of Nix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from .errors import ProtocolError, without_terminal_codes
from .protocol.operations import read_text
from .protocol.wire import WireReader


class BuildStatus(IntEnum):
    """Nix's status of a build. Later versions of Nix have more of them: they become ``UNKNOWN``."""

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
        """Whether the outputs are there."""
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

    ``error`` is without terminal colours. ``started`` and ``stopped`` are seconds since 1970, 0 when Nix does not tell
    (2.34 does not). CPU times in microseconds, ``None`` when unknown. ``built_outputs`` gives base names by output
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
        """Whether the outputs are there."""
        return self.status.succeeded


def read_build_results(reader: WireReader, minor: int) -> list[tuple[str, BuildResult]]:
    """The answer of BuildPathsWithResults in protocol 1.``minor``: what was asked for, as full paths, and results."""
    return [(read_text(reader), _read_result(reader, minor)) for _ in range(reader.u64())]


def _read_result(reader: WireReader, minor: int) -> BuildResult:
    number = reader.u64()
    error = without_terminal_codes(reader.string())
    status = BuildStatus(number) if number <= BuildStatus.NO_SUBSTITUTERS else BuildStatus.UNKNOWN
    if status is BuildStatus.UNKNOWN:
        error = f"{error} (Nix's build status {number}, unknown here)".strip()
    times_built = reader.u64()
    is_non_deterministic = reader.u64() != 0
    started, stopped = reader.u64(), reader.u64()
    cpu_user = _read_optional(reader) if minor >= 37 else None
    cpu_system = _read_optional(reader) if minor >= 37 else None
    outputs = {}
    for _ in range(reader.u64()):
        key = read_text(reader)
        outputs[key.rpartition("!")[2]] = _realised_path(reader.string())
    return BuildResult(
        status, error, times_built, is_non_deterministic, started, stopped, cpu_user, cpu_system, outputs
    )


def _read_optional(reader: WireReader) -> int | None:
    if not reader.u64():
        return None
    return reader.u64()


def _realised_path(realisation: bytes) -> str:
    try:
        path = json.loads(realisation)["outPath"]
    except (ValueError, KeyError, TypeError):
        raise ProtocolError("Nix sent a realisation that can't be read") from None
    return str(path).rpartition("/")[2]
