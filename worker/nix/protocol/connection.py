"""One connection: handshake, single requests, and many requests at a time.

Source: ``BasicClientConnection::handshake`` in the source of Nix.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import ConnectionLost, NixError, ProtocolError
from .messages import BuildEvents, read_messages
from .operations import Op, read_text
from .transport import Transport
from .wire import WireReader, encode_strings, encode_u64, encode_u64s

T = TypeVar("T")

CLIENT_MAGIC = 0x6E697863
SERVER_MAGIC = 0x6478696F
OUR_VERSION = 1 << 8 | 38
OLDEST_MINOR = 34

SAFE_BYTES = 60_000
"""Bytes that can be written without reading: less than a pipe or a socket holds."""

observers: list[Callable[[str, Op], None]] = []
"""Called with "before" when an operation is sent, and "after" when its answer is read, in the waiting thread."""


class Connection:
    """A connection after the handshake. One thread uses it; any thread may call :meth:`abort`.

    After a :class:`NixError` the connection can be used further, after any other exception it is closed. Raises
    :class:`ConnectionLost`, and :class:`ProtocolError` if the other side is too old (before Nix 2.8) or not a Nix.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._reader = transport.reader
        self._aborted = False
        self.closed = False
        with self._closing_on_error():
            self._shake_hands()

    def _shake_hands(self) -> None:
        self._transport.send(encode_u64s(CLIENT_MAGIC, OUR_VERSION))
        reader = self._reader
        if (magic := reader.u64()) != SERVER_MAGIC:
            raise ProtocolError(f"the other side is no Nix daemon (it sent {magic:#x})")
        theirs = reader.u64()
        if theirs >> 8 != 1 or theirs & 0xFF < OLDEST_MINOR:
            version = f"{theirs >> 8}.{theirs & 0xFF}"
            raise ProtocolError(f"this Nix speaks protocol {version}; at least 1.{OLDEST_MINOR} (Nix 2.8) is needed")
        self.minor = min(theirs & 0xFF, OUR_VERSION & 0xFF)
        self.features: tuple[bytes, ...] = ()
        if self.minor >= 38:
            self._transport.send(encode_strings(()))
            self.features = tuple(reader.strings())
        self._transport.send(encode_u64(0) * 2)
        self.nix_version_text = read_text(reader)
        self.trusted = {1: True, 2: False}.get(reader.u64()) if self.minor >= 35 else None
        read_messages(reader)

    def call(self, request: bytes, read_answer: Callable[[WireReader], T], events: BuildEvents | None = None) -> T:
        """Send one request and read its answer. Raises :class:`NixError`."""
        with self._closing_on_error(), _observed([request]):
            self._transport.send(request)
            read_messages(self._reader, events)
            return read_answer(self._reader)

    def call_many(self, requests: Sequence[bytes], read_answer: Callable[[WireReader], T]) -> list[T | NixError]:
        """Send requests without waiting for each answer; return answers and errors in their order."""
        return self.call_each([(request, read_answer) for request in requests])

    def call_each(self, calls: Sequence[tuple[bytes, Callable[[WireReader], Any]]]) -> list[Any]:
        """Do as :meth:`call_many`, for requests with different answers: each comes with its own reader."""
        requests = [request for request, _ in calls]
        with self._closing_on_error(), _observed(requests), self._sending(requests):
            return [self._answer(read_answer) for _, read_answer in calls]

    def _answer(self, read_answer: Callable[[WireReader], T]) -> T | NixError:
        try:
            read_messages(self._reader)
        except NixError as error:
            return error
        return read_answer(self._reader)

    @contextmanager
    def _sending(self, requests: Sequence[bytes]) -> Iterator[None]:
        if sum(map(len, requests)) <= SAFE_BYTES:
            self._transport.send(b"".join(requests))
            yield
            return
        # Nix stops reading while its answers are not read: another thread writes, this one reads.
        writer = threading.Thread(target=self._send_all, args=(requests,), name="nix-requests", daemon=True)
        writer.start()
        try:
            yield
        except BaseException:
            self._transport.abort()
            raise
        finally:
            writer.join()

    def _send_all(self, requests: Sequence[bytes]) -> None:
        pending: list[bytes] = []
        size = 0
        try:
            for request in requests:
                pending.append(request)
                size += len(request)
                if size >= SAFE_BYTES:
                    self._transport.send(b"".join(pending))
                    pending.clear()
                    size = 0
            self._transport.send(b"".join(pending))
        except ConnectionLost:
            pass  # the reading thread gets the same error

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        self._check_open()
        try:
            yield
        except NixError:
            if self._aborted:  # the last message of Nix 2.26 after an abort
                self.close()
                raise ConnectionLost("the connection to Nix was aborted") from None
            raise
        except ConnectionLost as error:
            words = "" if self._aborted else self._transport.last_words()
            self.close()
            if self._aborted:
                raise ConnectionLost("the connection to Nix was aborted") from None
            raise ConnectionLost(f"{error}: {words}" if words else str(error)) from None
        except BaseException:
            self._transport.abort()
            self.close()
            raise

    def _check_open(self) -> None:
        if self.closed:
            raise ConnectionLost("the connection to Nix is closed")
        if self._aborted:  # a request would reach a Nix that ends, if any
            self.close()
            raise ConnectionLost("the connection to Nix was aborted")

    def abort(self) -> None:
        """End the connection, and with it a build that runs on it, from any thread.

        The thread that waits for an answer gets :class:`ConnectionLost`, and has to close the connection.
        """
        self._aborted = True
        self._transport.abort()

    def close(self) -> None:
        """End the connection and wait for its process. Temporary roots made over it end with it."""
        if not self.closed:
            self.closed = True
            self._transport.close()


@contextmanager
def _observed(requests: Sequence[bytes]) -> Iterator[None]:
    """Report operations of requests that are sent together: each once before all, and once after all answers."""
    operations = dict.fromkeys(Op(int.from_bytes(request[:8], "little")) for request in requests) if observers else ()
    _tell("before", operations)
    yield
    _tell("after", operations)


def _tell(when: str, operations: Iterable[Op]) -> None:
    for operation in operations:
        for observe in observers:
            observe(when, operation)
