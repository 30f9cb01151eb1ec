"""A proxy between a worker and PostgreSQL that loses, delays and cuts messages, as networks do."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Literal
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

Moment = Literal["before", "after"]


@dataclass
class Cut:
    """A cut of the connection at the next call of a procedure.

    `before`: the server never gets the call. `after`: the call is done and committed, but the answer is lost.
    """

    procedure: str
    moment: Moment
    happened: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Listens on the loopback interface and passes messages on to a server's Unix socket."""

    def __init__(self, conninfo: str) -> None:
        target = conninfo_to_dict(conninfo)
        self._server = f"{target['host']}/.s.PGSQL.{target.get('port', 5432)}"
        self._listening = socket.create_server(("127.0.0.1", 0))
        host, port = self._listening.getsockname()
        name, user = quote(str(target["dbname"])), quote(str(target["user"]))
        self.conninfo = f"postgresql://{user}@{host}:{port}/{name}?sslmode=disable&gssencmode=disable"
        self.delay = 0.0
        """The seconds by which every request and every answer is delayed."""
        self.deaf = False
        """Whether notifications are lost."""
        self.notified = 0
        """The number of notifications that came through."""
        self.refusing = False
        """Whether new connections are closed at once."""
        self.refused = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._cuts: list[Cut] = []
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self, procedure: str, moment: Moment) -> Cut:
        """Cut the connection at the next call of the procedure."""
        cut = Cut(procedure, moment)
        with self._lock:
            self._cuts.append(cut)
        return cut

    def cut_all(self) -> None:
        """Cut all connections."""
        for link in self._take_links():
            link.close()

    def strand(self) -> None:
        """Hold everything back on the existing connections, which still look healthy; new connections work."""
        for link in self._take_links():
            link.stranded = True

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Hold everything back, in both directions, until the end of the context; then deliver it."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def close(self) -> None:
        """Stop listening and cut all connections."""
        self._flowing.set()
        self.refusing = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut_all()

    def _take_links(self) -> list[_Link]:
        with self._lock:
            links, self._links = self._links, []
        return links

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.refusing:
                self.refused += 1
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                server.connect(self._server)
            except OSError:
                client.close()
                server.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(self, client, server)
            with self._lock:
                self._links.append(link)
            link.start()

    def pass_on(self, link: _Link, data: bytes, to: socket.socket) -> None:
        """Send data once the proxy lets it through."""
        self._flowing.wait()
        while link.stranded and not link.closed:
            time.sleep(0.05)
        to.sendall(data)

    def cut_for(self, request: bytes) -> Cut | None:
        """Return the cut for this request, if any; each cut happens once."""
        with self._lock:
            for cut in self._cuts:
                if f"resolver.{cut.procedure}(".encode() in request:
                    self._cuts.remove(cut)
                    return cut
        return None


class _Link:
    """A client's connection, and the connection to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._unanswered: Cut | None = None
        """The cut for the request in progress; it happens when the server has answered."""
        self.stranded = False
        self.closed = False

    def start(self) -> None:
        """Pass messages on in both directions, until either side ends."""
        for work in (self._pass_requests, self._pass_answers):
            threading.Thread(target=self._run, args=[work], name="proxy-link", daemon=True).start()

    def close(self) -> None:
        """Cut both connections."""
        self.closed = True
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _run(self, work: object) -> None:
        assert callable(work)
        try:
            work()
        except (OSError, EOFError):
            pass
        finally:
            self.close()

    def _pass_requests(self) -> None:
        with self._client.makefile("rb") as stream:
            (length,) = struct.unpack("!I", start := _exactly(stream, 4))
            self._proxy.pass_on(self, start + _exactly(stream, length - 4), self._server)
            request = b""
            while True:
                message = _message(stream)
                request += message
                if message[:1] not in b"SQXp":  # the message does not end a request
                    continue
                cut = self._proxy.cut_for(request)
                if cut is not None and cut.moment == "before":
                    cut.happened.set()
                    return
                self._unanswered = cut
                time.sleep(self._proxy.delay)
                self._proxy.pass_on(self, request, self._server)
                request = b""

    def _pass_answers(self) -> None:
        with self._server.makefile("rb") as stream:
            while True:
                message = _message(stream)
                kind = message[:1]
                if self._unanswered is not None:
                    if kind == b"Z":  # ready for the next query: the call is committed
                        self._unanswered.happened.set()
                        return
                    continue
                if kind == b"A" and self._proxy.deaf:
                    continue
                if kind == b"Z":
                    time.sleep(self._proxy.delay)
                self._proxy.pass_on(self, message, self._client)
                if kind == b"A":
                    self._proxy.notified += 1


def _message(stream: BinaryIO) -> bytes:
    head = _exactly(stream, 5)
    (length,) = struct.unpack("!I", head[1:])
    return head + _exactly(stream, length - 4)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
