"""Reading the results of builds.

Source: ``BuildResult`` and its serialiser in the source of Nix.
"""

from __future__ import annotations

import json

from ..build_result import BuildResult, BuildStatus
from ..errors import ProtocolError, without_terminal_codes
from .operations import read_text
from .wire import WireReader


def read_build_results(reader: WireReader, minor: int) -> list[tuple[str, BuildResult]]:
    """Read the answer of BuildPathsWithResults in protocol 1.``minor``: requested full paths, with results."""
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
