"""Requests of the worker protocol and their answers, as bytes: no function waits.

Paths are full paths here. Source: ``worker-protocol.hh`` and ``performOp`` in the source of Nix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from ..errors import ProtocolError
from .wire import WireReader, encode_framed, encode_string, encode_strings, encode_u64, encode_u64s


class Op(IntEnum):
    """Operations, by Nix's names."""

    ADD_TO_STORE = 7
    ADD_TEXT_TO_STORE = 8
    ADD_TEMP_ROOT = 11
    ADD_INDIRECT_ROOT = 12
    SET_OPTIONS = 19
    COLLECT_GARBAGE = 20
    QUERY_PATH_INFO = 26
    QUERY_VALID_PATHS = 31
    NAR_FROM_PATH = 38
    QUERY_DERIVATION_OUTPUT_MAP = 41
    BUILD_PATHS_WITH_RESULTS = 46


_HEADERS = {op: encode_u64(op) for op in Op}
_DELETE_SPECIFIC = 3
_NO_LIMIT = 2**64 - 1


@dataclass(frozen=True, slots=True)
class RawPathInfo:
    """Nix's info of a valid path. ``nar_size`` in bytes, ``registration_time`` in seconds since 1970."""

    deriver: str
    nar_hash: str
    references: tuple[str, ...]
    registration_time: int
    nar_size: int
    ultimate: bool
    signatures: tuple[str, ...]
    content_address: str


def add_text(name: str, content: bytes, references: Iterable[str]) -> bytes:
    """Return the request AddToStore with method text."""
    return b"".join(
        (
            _HEADERS[Op.ADD_TO_STORE],
            encode_string(name.encode()),
            encode_string(b"text:sha256"),
            encode_strings([reference.encode() for reference in references]),
            encode_u64(0),  # don't repair
            encode_framed(content),
        )
    )


def path_request(op: Op, path: str) -> bytes:
    """Return a request with one path, or another string, as its argument."""
    return _HEADERS[op] + encode_string(path.encode())


def query_valid_paths(paths: Iterable[str]) -> bytes:
    """Return the request QueryValidPaths, without substitution."""
    return _HEADERS[Op.QUERY_VALID_PATHS] + encode_strings([path.encode() for path in paths]) + encode_u64(0)


def delete_paths(paths: Iterable[str]) -> bytes:
    """Return the request CollectGarbage that deletes these paths, if nothing keeps them alive."""
    names = [path.encode() for path in paths]
    numbers = encode_u64s(_DELETE_SPECIFIC), encode_strings(names), encode_u64s(0, _NO_LIMIT, 0, 0, 0)
    return b"".join((_HEADERS[Op.COLLECT_GARBAGE], *numbers))


def build_paths_with_results(derived_paths: Iterable[str]) -> bytes:
    """Return BuildPathsWithResults in mode normal; ``derived_paths``: ``path!output,output`` or ``path!*``."""
    paths = [path.encode() for path in derived_paths]
    return _HEADERS[Op.BUILD_PATHS_WITH_RESULTS] + encode_strings(paths) + encode_u64(0)


def set_options(
    *,
    keep_failed: bool,
    keep_going: bool,
    try_fallback: bool,
    verbosity: int,
    max_build_jobs: int,
    max_silent_time: int,
    build_cores: int,
    use_substitutes: bool,
    overrides: Mapping[str, str],
) -> bytes:
    """Return the request SetOptions; times in seconds, 0 for no limit."""
    numbers = encode_u64s(
        keep_failed,
        keep_going,
        try_fallback,
        verbosity,
        max_build_jobs,
        max_silent_time,
        1,  # useBuildHook: no longer used
        0,  # verboseBuild: 0 means yes
        0,  # log type
        0,  # print build trace
        build_cores,
        use_substitutes,
        len(overrides),
    )
    pairs = [encode_string(text.encode()) for pair in overrides.items() for text in pair]
    return b"".join((_HEADERS[Op.SET_OPTIONS], numbers, *pairs))


def read_text(reader: WireReader) -> str:
    """Read a string that is text."""
    return reader.string().decode(errors="surrogateescape")


def read_texts(reader: WireReader) -> tuple[str, ...]:
    """Read a list of strings that are text."""
    return tuple(text.decode(errors="surrogateescape") for text in reader.strings())


def read_nothing(reader: WireReader) -> None:
    """Read the answer of an operation that only confirms its end."""
    reader.u64()


def read_collected(reader: WireReader) -> None:
    """Read the answer of CollectGarbage: deleted paths, their bytes, and a meaningless number."""
    reader.strings()
    reader.u64()
    reader.u64()


def read_no_answer(reader: WireReader) -> None:
    """Read nothing, for an operation without an answer."""


def read_path_info(reader: WireReader) -> RawPathInfo:
    """Read a path info without the path."""
    return RawPathInfo(
        deriver=read_text(reader),
        nar_hash=read_text(reader),
        references=read_texts(reader),
        registration_time=reader.u64(),
        nar_size=reader.u64(),
        ultimate=reader.u64() != 0,
        signatures=read_texts(reader),
        content_address=read_text(reader),
    )


def read_optional_path_info(reader: WireReader) -> RawPathInfo | None:
    """Read the answer of QueryPathInfo: ``None`` for an invalid path."""
    return read_path_info(reader) if reader.u64() else None


def read_added_path(reader: WireReader) -> str:
    """Read the answer of AddToStore, and return its path."""
    path = read_text(reader)
    reader.string()
    reader.string()
    reader.strings()
    reader.exactly(24)
    reader.strings()
    reader.string()
    return path


def read_output_map(reader: WireReader) -> dict[str, str | None]:
    """Read the answer of QueryDerivationOutputMap: ``None`` for an output of unknown path."""
    return {read_text(reader): read_text(reader) or None for _ in range(reader.u64())}


def read_nar_file(reader: WireReader) -> bytes:
    """Read the content of the one regular file in a NAR. Raises :class:`ProtocolError` for anything else."""
    for expected in (b"nix-archive-1", b"(", b"type", b"regular"):
        if reader.string() != expected:
            raise ProtocolError("expected an archive of one regular file")
    field = reader.string()
    if field == b"executable":
        reader.string()
        field = reader.string()
    content = b""
    if field == b"contents":
        content = reader.string()
        field = reader.string()
    if field != b")":
        raise ProtocolError("expected the end of an archive")
    return content
