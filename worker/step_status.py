"""The meaning of a failed attempt for the database: Hydra's status, whether to retry, whether to cache the failure.

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
"""Characters of a message; a longer message is cut in the middle."""
_END = 1000

FailureClass: TypeAlias = Literal["builder", "transient", "timeout", "unsupported"]
"""``builder``: final, and cached for other builds; ``transient``: retried a few times; the others: final."""


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
    """A failed attempt: the step's :class:`HydraStatus`, the class of the failure, a text for people."""

    status: int
    failure_class: FailureClass
    message: str

    def described(self) -> dict[str, object]:
        """Return the failure in the form that the procedures take."""
        return {"class": self.failure_class, "status": int(self.status), "message": self.message.replace("\0", "")}


_LOG_TAIL = re.compile(r"(?m);?\n *last \d+ log lines:(?:\n>[^\n]*)*(?:\n(?=\n|\Z))?", re.IGNORECASE)
_LOG_HINT = re.compile(r"\nFor full logs, run:\n[^\n]*")
_DISK_NOTE = re.compile(r"\.?\s*\n\s*note: build failure may have been caused by (?=lack of free disk space)")
_PREFIX = re.compile(r"(?m)^[ \t]*(?:error:[ \t]*)+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Nix's messages for a derivation that this machine can't build in any attempt. The words differ between versions, and
# some versions answer with an error instead of a result.
_UNSUPPORTED = re.compile(
    r"missing system features|platform mismatch|is required to build|required system or feature not available"
    r"|local builds are disabled|unable to start any build",
    re.IGNORECASE,
)
# Errors of the builder that are found after it ended: Nix can't accept its output.
_BAD_OUTPUT = re.compile(
    r"error parsing derivation"  # an output whose name ends in .drv is parsed as soon as it is there
    r"|has an unsupported type|not allowed to refer to (?:the following paths|other store paths)"
    r"|illegal path references|must not reference store paths|self-reference not allowed"
    r"|cycle detected in build|File name too long"
)
_UNSUPPORTED_TYPE = re.compile(r"has an unsupported type\Z")
# Errors of the derivation that Nix finds before the builder begins. Versions answer with a result, or an error.
_BAD_DERIVATION = re.compile(r"'exportReferencesGraph'|is not in the Nix store|Expected JSON value to be of type")
_DISK_FULL = re.compile(r"lack of free disk space|no space left on device", re.IGNORECASE)


def failure_of(result: BuildResult, *, kind: Kind) -> StepFailure:
    """Return the failure for Nix's result of a derivation of this kind. Raises ``ValueError`` for a success."""
    if result.succeeded:
        raise ValueError(f"status {result.status.name} is no failure")
    message = _plain(result.error) or f"Nix gave status {result.status.name}, and no reason"
    match result.status:
        case BuildStatus.PERMANENT_FAILURE | BuildStatus.OUTPUT_REJECTED:
            return _by_builder(HydraStatus.FAILED, kind, message)
        case BuildStatus.NOT_DETERMINISTIC:
            return _by_builder(HydraStatus.NOT_DETERMINISTIC, kind, message)
        case BuildStatus.CACHED_FAILURE:
            return _failure(HydraStatus.FAILED, "unsupported", message)
        case BuildStatus.TIMED_OUT:
            return _failure(HydraStatus.TIMED_OUT, "timeout", message)
        case BuildStatus.LOG_LIMIT_EXCEEDED:
            return _failure(HydraStatus.LOG_LIMIT_EXCEEDED, "timeout", message)
        case BuildStatus.INPUT_REJECTED:
            status = HydraStatus.UNSUPPORTED if _UNSUPPORTED.search(message) else HydraStatus.FAILED
            return _failure(status, "unsupported", message)
        case BuildStatus.TRANSIENT_FAILURE if kind is Kind.FIXED and not _DISK_FULL.search(message):
            # Nix supposes that the network was down whenever the builder of a fixed output fails.
            return _by_builder(HydraStatus.FAILED, kind, message)
    return _by_message(message, kind)


def failure_of_error(error: StoreError, *, kind: Kind) -> StepFailure:
    """Return the failure for an exception of the call: Nix's answer, or the end of the connection."""
    message = _plain(str(error)) or f"the build ended with {type(error).__name__}, and no reason"
    if isinstance(error, NixError):
        return _by_message(message, kind)
    return _failure(HydraStatus.ABORTED, "transient", message)


def failure_of_refusal(error: StoreError, words: str) -> StepFailure:
    """Return the failure for Nix's refusal of a derivation; `words` say what Nix refuses."""
    message = f"{words}: {_plain(str(error))}"
    if _DISK_FULL.search(message):
        return _failure(HydraStatus.ABORTED, "transient", message)
    return _failure(HydraStatus.FAILED, "unsupported", message)


def failure_of_exception(error: Exception) -> StepFailure:
    """Return the failure for an unexpected exception: another attempt may succeed."""
    message = _plain(f"an unexpected error, {type(error).__name__}: {error}")
    return _failure(HydraStatus.ABORTED, "transient", message)


def _by_builder(status: HydraStatus, kind: Kind, message: str) -> StepFailure:
    """Return the derivation's own failure. A fixed output may have failed for the network, so it is not cached."""
    return _failure(status, "unsupported" if kind is Kind.FIXED else "builder", message)


def _by_message(message: str, kind: Kind) -> StepFailure:
    """Return the failure for a message without a status: only the text shows whether a retry can succeed."""
    if _DISK_FULL.search(message):
        return _failure(HydraStatus.ABORTED, "transient", message)
    if _UNSUPPORTED.search(message):
        return _failure(HydraStatus.UNSUPPORTED, "unsupported", message)
    if _BAD_OUTPUT.search(message):
        message = _UNSUPPORTED_TYPE.sub("has an unsupported type: a FIFO, a socket or a device", message)
        return _by_builder(HydraStatus.FAILED, kind, message)
    if _BAD_DERIVATION.search(message):
        return _failure(HydraStatus.FAILED, "unsupported", message)
    return _failure(HydraStatus.ABORTED, "transient", message)


def _failure(status: HydraStatus, failure_class: FailureClass, message: str) -> StepFailure:
    """Return a failure with a bounded message: of a longer one the beginning and the end, which has the reason."""
    if len(message) > MESSAGE_LIMIT:
        message = f"{message[: MESSAGE_LIMIT - _END - 1]}…{message[-_END:]}"
    return StepFailure(status, failure_class, message)


def _plain(text: str) -> str:
    """Return Nix's message without prefixes and without the builder's own lines, which are in the log."""
    text = text.encode("utf-8", errors="replace").decode()
    text = _DISK_NOTE.sub(", perhaps for ", _LOG_HINT.sub("", _LOG_TAIL.sub("", text)))
    return _UNPRINTABLE.sub("", _PREFIX.sub("", text)).strip()
