"""What a failed attempt means to the database: Hydra's status, whether to try again, whether to remember it.

Sources: ``BuildResult`` in the source of Nix for its statuses; ``BuildStatus`` in the source of Hydra for the numbers
in BuildSteps and Builds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

from .nix.build_result import BuildResult, BuildStatus
from .nix.derivation import Kind
from .nix.errors import NixError, StoreError

MESSAGE_LIMIT = 4000
"""Characters of a message; what is longer is cut."""

FailureClass: TypeAlias = Literal["builder", "transient", "timeout", "unsupported"]
"""``builder``: final, and remembered for other builds; ``transient``: tried again a few times; the others: final."""


class HydraStatus(IntEnum):
    """How a step or a build ended, in Hydra's tables."""

    SUCCEEDED = 0
    FAILED = 1
    DEPENDENCY_FAILED = 2
    ABORTED = 3
    CANCELLED = 4
    SUCCEEDED_WITH_FAILURE = 6
    TIMED_OUT = 7
    CACHED_FAILURE = 8
    UNSUPPORTED = 9
    LOG_LIMIT_EXCEEDED = 10
    OUTPUT_TOO_LARGE = 11
    NOT_DETERMINISTIC = 12
    RESOLVED = 13


@dataclass(frozen=True, slots=True)
class StepFailure:
    """A failed attempt: the step's :class:`HydraStatus`, what becomes of the derivation, a text for people."""

    status: int
    failure_class: FailureClass
    message: str


_LOG_TAIL = re.compile(r"(?m);?\n *last \d+ log lines:(?:\n>[^\n]*)*(?:\n(?=\n|\Z))?", re.IGNORECASE)
_LOG_HINT = re.compile(r"\nFor full logs, run:\n[^\n]*")
_DISK_NOTE = re.compile(r"\.?\s*\n\s*note: build failure may have been caused by (?=lack of free disk space)")
_PREFIX = re.compile(r"(?m)^[ \t]*(?:error:[ \t]*)+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# What Nix says of a derivation that this machine can't build, whoever tries. Versions word it differently, and some
# answer with an error instead of a result.
_UNSUPPORTED = re.compile(
    r"missing system features|platform mismatch|is required to build|required system or feature not available"
    r"|local builds are disabled|unable to start any build",
    re.IGNORECASE,
)
_DISK_FULL = re.compile(r"lack of free disk space|no space left on device", re.IGNORECASE)
_NO_DERIVATION = "error parsing derivation"


def failure_of(result: BuildResult, *, kind: Kind) -> StepFailure:
    """The failure that Nix's result of a derivation of this kind means. Raises ``ValueError`` for a success."""
    if result.succeeded:
        raise ValueError(f"status {result.status.name} is no failure")
    message = _short(result.error) or f"Nix gave status {result.status.name}, and no reason"
    match result.status:
        case BuildStatus.PERMANENT_FAILURE | BuildStatus.OUTPUT_REJECTED:
            return _by_builder(HydraStatus.FAILED, kind, message)
        case BuildStatus.NOT_DETERMINISTIC:
            return _by_builder(HydraStatus.NOT_DETERMINISTIC, kind, message)
        case BuildStatus.CACHED_FAILURE:
            return StepFailure(HydraStatus.FAILED, "unsupported", message)
        case BuildStatus.TIMED_OUT:
            return StepFailure(HydraStatus.TIMED_OUT, "timeout", message)
        case BuildStatus.LOG_LIMIT_EXCEEDED:
            return StepFailure(HydraStatus.LOG_LIMIT_EXCEEDED, "timeout", message)
        case BuildStatus.INPUT_REJECTED:
            status = HydraStatus.UNSUPPORTED if _UNSUPPORTED.search(message) else HydraStatus.FAILED
            return StepFailure(status, "unsupported", message)
        case BuildStatus.TRANSIENT_FAILURE if kind is Kind.FIXED and not _DISK_FULL.search(message):
            # Nix supposes that the network was down whenever the builder of a fixed output fails.
            return _by_builder(HydraStatus.FAILED, kind, message)
    return _by_message(message, kind)


def failure_of_error(error: StoreError, *, kind: Kind) -> StepFailure:
    """The failure that an exception of the call means: Nix's answer, or the end of the connection."""
    message = _short(str(error)) or f"the build ended with {type(error).__name__}, and no reason"
    if isinstance(error, NixError):
        return _by_message(message, kind)
    return StepFailure(HydraStatus.ABORTED, "transient", message)


def _by_builder(status: HydraStatus, kind: Kind, message: str) -> StepFailure:
    """The derivation's own failure. That of a fixed output may be the network's, so nobody remembers it."""
    return StepFailure(status, "unsupported" if kind is Kind.FIXED else "builder", message)


def _by_message(message: str, kind: Kind) -> StepFailure:
    """What has no status of its own: only the words tell the causes that another try can't change."""
    if _DISK_FULL.search(message):
        return StepFailure(HydraStatus.ABORTED, "transient", message)
    if _UNSUPPORTED.search(message):
        return StepFailure(HydraStatus.UNSUPPORTED, "unsupported", message)
    if _NO_DERIVATION in message:
        # An output whose name ends in .drv is parsed as soon as it is there.
        return _by_builder(HydraStatus.FAILED, kind, message)
    return StepFailure(HydraStatus.ABORTED, "transient", message)


def _short(text: str) -> str:
    """Nix's message without prefixes and without the builder's own lines, which are in the log."""
    text = text.encode("utf-8", errors="replace").decode()
    text = _DISK_NOTE.sub(", perhaps for ", _LOG_HINT.sub("", _LOG_TAIL.sub("", text)))
    text = _UNPRINTABLE.sub("", _PREFIX.sub("", text)).strip()
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
