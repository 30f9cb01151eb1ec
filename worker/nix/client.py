"""A client of one Nix store: its queries and changes, with store paths as base names.

Source: the operations of the worker protocol; the Nix manual, "Garbage Collector Roots", for temporary roots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from .build_result import BuildResult
from .errors import NixError, PathMismatch, ProtocolError
from .path_info import PathInfo
from .protocol import operations
from .protocol.build_results import read_build_results
from .protocol.connection import Connection
from .protocol.messages import BuildEvents
from .protocol.operations import Op, RawPathInfo
from .protocol.path_infos import path_info
from .protocol.transport import Transport
from .protocol.wire import WireReader
from .settings import BuildSettings
from .store_path import StoreDir, name_part
from .version import NixVersion, parse_nix_version

_T = TypeVar("_T")


class Text(NamedTuple):
    """A text file to be added: the base name it will have, its content, its references (base names)."""

    path: str
    content: bytes
    references: Sequence[str]


class Client:
    """A connection to a store.

    One thread uses a client; any thread may call :meth:`abort`. Paths that were added or protected over it stay
    protected from the garbage collector until it is closed. Every method raises :class:`NixError` if Nix refuses (the
    connection stays usable), :class:`ConnectionLost` and :class:`ProtocolError` (the connection is closed). Plural
    forms return an error in place of a result, and write many requests before they read the answers.
    """

    def __init__(self, transport: Transport, store_dir: StoreDir) -> None:
        self.store_dir = store_dir
        self._connection = Connection(transport)
        self._settings: BuildSettings | None = None
        self._protected: set[str] = set()
        self._kept: set[str] = set()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._connection.closed

    @property
    def protocol_minor(self) -> int:
        """The minor version of the protocol in use (1.x)."""
        return self._connection.minor

    @property
    def nix_version(self) -> NixVersion:
        """The version of the Nix on the other side. Raises ``ValueError`` if Nix does not name it."""
        return parse_nix_version(self._connection.nix_version_text)

    @property
    def trusted(self) -> bool | None:
        """Whether the store trusts us; ``None`` if the store does not say."""
        return self._connection.trusted

    def abort(self) -> None:
        """End a running call, and its builds, from another thread: the call raises :class:`ConnectionLost`.

        The connection can't be used further; the thread that uses it has to call :meth:`close`.
        """
        self._connection.abort()

    def close(self) -> None:
        """End the connection. A second call does nothing."""
        self._connection.close()

    def set_options(self, settings: BuildSettings) -> None:
        """Set the options of builds on this connection; nothing is sent if they are set already."""
        if settings != self._settings:
            self._connection.call(settings.request(), operations.read_no_answer)
            self._settings = settings

    def add_temp_roots(self, paths: Iterable[str]) -> None:
        """Protect paths from the garbage collector until this connection is closed. They need not be valid."""
        self._protecting(paths)

    def query_valid_paths(self, paths: Iterable[str]) -> set[str]:
        """Return the members of ``paths`` that are in the store. Nothing is substituted."""
        return self._valid(set(paths), protect=False)

    def protect(self, paths: Iterable[str]) -> set[str]:
        """Protect paths until this connection is closed; return the valid ones, which therefore stay valid."""
        return self._valid(set(paths), protect=True)

    def keep(self, paths: Iterable[str]) -> set[str]:
        """Do as :meth:`protect`, without queries for paths that were valid before: only force can have deleted them."""
        wanted = set(paths)
        if unknown := wanted - self._kept:
            self._kept |= self.protect(unknown)
        return wanted & self._kept

    def query_derivation_output_map(self, drv_path: str) -> dict[str, str | None]:
        """Return the known paths of a derivation's outputs, ``None`` if unknown; a known path need not be valid."""
        return _one(self.query_derivation_output_maps([drv_path]))

    def query_derivation_output_maps(self, drv_paths: Iterable[str]) -> list[dict[str, str | None] | NixError]:
        """Return the output maps of several derivations."""
        return self._many(Op.QUERY_DERIVATION_OUTPUT_MAP, drv_paths, self._read_output_map)

    def query_path_info(self, path: str) -> PathInfo | None:
        """Return the info of a path; ``None`` if the path is not valid."""
        return _one(self.query_path_infos([path]))

    def query_path_infos(self, paths: Iterable[str], *, protect: bool = False) -> list[PathInfo | NixError | None]:
        """Return the infos of several paths; ``protect``: protect the paths first."""
        wanted = list(paths)
        requests = [operations.path_request(Op.QUERY_PATH_INFO, self._full(path)) for path in wanted]
        calls = [(request, operations.read_optional_path_info) for request in requests]
        answers = self._protecting(wanted if protect else (), *calls)
        return [
            path_info(path, answer, self.store_dir) if isinstance(answer, RawPathInfo) else answer
            for path, answer in zip(wanted, answers, strict=True)
        ]

    def add_text(self, text: Text) -> None:
        """Add a text file to the store, and protect it. Raises :class:`PathMismatch` if Nix gives it another path.

        Nix refuses a ``.drv`` that does not parse or whose output paths are wrong, and references that are not valid.
        """
        _one(self.add_texts([text]))

    def add_texts(self, texts: Iterable[Text]) -> list[NixError | None]:
        """Add several text files, in this order."""
        wanted = list(texts)
        requests = [
            operations.add_text(name_part(text.path), text.content, map(self._full, text.references)) for text in wanted
        ]
        answers = self._connection.call_many(requests, operations.read_added_path)
        for text, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, str) and answer != self._full(text.path):
                raise PathMismatch(self._full(text.path), answer)
        return [answer if isinstance(answer, NixError) else None for answer in answers]

    def add_indirect_root(self, link: str) -> None:
        """Register the symbolic link ``link`` (an absolute path) into the store as a root."""
        _one(self.add_indirect_roots([link]))

    def add_indirect_roots(self, links: Iterable[str]) -> list[NixError | None]:
        """Register several links as roots."""
        requests = [operations.path_request(Op.ADD_INDIRECT_ROOT, link) for link in links]
        return self._connection.call_many(requests, operations.read_nothing)

    def delete_paths(self, paths: Iterable[str]) -> None:
        """Delete paths, valid or not, from the store. Raises :class:`NixError` if a root or a reference keeps one."""
        self._connection.call(operations.delete_paths(map(self._full, paths)), operations.read_collected)

    def read_file(self, path: str) -> bytes:
        """Return the content of a store path that is one regular file, such as a ``.drv`` (NarFromPath)."""
        request = operations.path_request(Op.NAR_FROM_PATH, self._full(path))
        return self._connection.call(request, operations.read_nar_file)

    def build(
        self, drv_path: str, outputs: Sequence[str] | None = None, *, events: BuildEvents | None = None
    ) -> BuildResult:
        """Build outputs of one derivation (all of them by default) and wait for the result.

        Nix also builds missing inputs, which :meth:`BuildEvents.started` reports; to prevent this, protect the inputs
        and check that they are valid beforehand. Some failures are raised as :class:`NixError` instead.
        """
        wanted = f"{self._full(drv_path)}!{','.join(outputs) if outputs is not None else '*'}"
        results = self._connection.call(
            operations.build_paths_with_results([wanted]),
            lambda reader: read_build_results(reader, self.protocol_minor),
            events,
        )
        if len(results) != 1:
            raise ProtocolError(f"Nix sent {len(results)} results for one derivation")
        return results[0][1]

    def _valid(self, wanted: set[str], *, protect: bool) -> set[str]:
        request = operations.query_valid_paths(map(self._full, wanted))
        answers = self._protecting(wanted if protect else (), (request, operations.read_texts))
        valid = {self._base(path) for path in _one(answers)}
        self._kept -= wanted - valid
        return valid

    def _protecting(self, paths: Iterable[str], *calls: tuple[bytes, Callable[[WireReader], Any]]) -> list[Any]:
        """Protect paths, send calls right behind, and return the answers to the calls."""
        new = [path for path in dict.fromkeys(paths) if path not in self._protected]
        requests = [operations.path_request(Op.ADD_TEMP_ROOT, self._full(path)) for path in new]
        answers = self._connection.call_each([*((request, operations.read_nothing) for request in requests), *calls])
        _raise_first(answers[: len(new)])
        self._protected.update(new)
        return answers[len(new) :]

    def _many(self, op: Op, paths: Iterable[str], read: Callable[[WireReader], _T]) -> list[_T | NixError]:
        requests = [operations.path_request(op, self._full(path)) for path in paths]
        return self._connection.call_many(requests, read)

    def _full(self, base_name: str) -> str:
        return self.store_dir.prefix + base_name

    def _base(self, path: str) -> str:
        return path.removeprefix(self.store_dir.prefix)

    def _read_output_map(self, reader: WireReader) -> dict[str, str | None]:
        paths: Mapping[str, str | None] = operations.read_output_map(reader)
        return {output: None if path is None else self._base(path) for output, path in paths.items()}


def _one(answers: list[_T | NixError]) -> _T:
    answer = answers[0]
    if isinstance(answer, NixError):
        raise answer
    return answer


def _raise_first(answers: Iterable[object]) -> None:
    for answer in answers:
        if isinstance(answer, NixError):
            raise answer
