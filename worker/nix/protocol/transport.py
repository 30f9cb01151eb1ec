"""The bytes between us and a Nix: a child process ``nix-daemon --stdio``, or the daemon's socket."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..errors import ConnectionLost, NixNotFound
from .wire import WireReader

GRACE_SECONDS = 10.0
"""How long a child may take to end its builds before it is killed."""

_BUFFER = 1 << 16

_ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=200:glibc.malloc.tcache_max=65536"}
"""Nix forks for every builder, and the kernel copies each page that either side then writes to. An allocator that first
reuses the memory freed last writes to half as many pages. A libc that does not know these settings ignores them."""


class Transport(Protocol):
    """A connection to a Nix."""

    reader: WireReader

    def send(self, data: bytes) -> None:
        """Write all of ``data``. Raises :class:`ConnectionLost`."""

    def abort(self) -> None:
        """End the connection and its work in Nix, from any thread; a thread that waits for an answer gets an error."""

    def close(self) -> None:
        """End the connection and release its resources."""

    def last_words(self) -> str:
        """Return what the other side wrote about its end, if anything."""


class ProcessTransport:
    """A child ``nix-daemon --stdio``: it serves the store itself, or passes requests on to a daemon."""

    def __init__(self, environment: Mapping[str, str], arguments: Sequence[str] = ()) -> None:
        program = shutil.which("nix-daemon", path=environment.get("PATH"))
        if program is None:
            raise NixNotFound("nix-daemon")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._child = subprocess.Popen(
            [program, "--stdio", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_ALLOCATOR | dict(environment),
            bufsize=0,
            process_group=0,  # the child must not get interrupts from the terminal
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._input = self._child.stdin.fileno()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.reader = WireReader(os.fdopen(os.dup(self._child.stdout.fileno()), "rb", _BUFFER))
        self._child.stdout.close()

    def send(self, data: bytes) -> None:
        """Write all of ``data``."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._input, view) :]
        except OSError as error:
            raise ConnectionLost(f"nix-daemon went away: {error}") from None

    def abort(self) -> None:
        """Ask the other side to end."""
        with self._lock:
            if self._timer is None and self._child.poll() is None:
                self._child.terminate()
                self._timer = threading.Timer(GRACE_SECONDS, self._child.kill)
                self._timer.daemon = True
                with contextlib.suppress(RuntimeError):  # no thread can start; the child probably ends by itself
                    self._timer.start()

    def close(self) -> None:
        """End the connection, and wait for the child."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        self.reader.close()
        try:
            self._wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._timer is not None:
            self._timer.cancel()
        self._errors.close()

    def _wait(self, seconds: float) -> None:
        """Do as ``Popen.wait``, which polls at growing intervals; here the kernel reports the end of the child."""
        with contextlib.suppress(OSError, AttributeError):  # old kernels and Pythons can't; or it is reaped already
            descriptor = os.pidfd_open(self._child.pid)
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                poll.poll(seconds * 1000)
            finally:
                os.close(descriptor)
            seconds = 0.0
        self._child.wait(seconds)

    def last_words(self) -> str:
        """Return the end of its standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(1)
        try:
            self._errors.seek(0)
            return self._errors.read().decode(errors="replace")[-2000:].strip()
        except ValueError:
            return ""


class SocketTransport:
    """A connection to a daemon's socket; ``path`` is the path of the socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise ConnectionLost(f"can't reach the Nix daemon at '{path}': {error.strerror or error}") from None
        self.reader = WireReader(self._socket.makefile("rb", _BUFFER))

    def send(self, data: bytes) -> None:
        """Write all of ``data``."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(f"the Nix daemon went away: {error}") from None

    def abort(self) -> None:
        """Ask the other side to end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection."""
        self.abort()
        self.reader.close()
        self._socket.close()

    def last_words(self) -> str:
        """Return an empty text: a socket has no standard error."""
        return ""
