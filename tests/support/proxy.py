"""A proxy between a worker and PostgreSQL that loses, delays and cuts what is said, as networks do."""

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
    """One connection is cut at a call of this procedure.

    `before`: the server never hears of it. `after`: it is done, committed and answered, but nobody hears of that.
    """

    procedure: str
    moment: Moment
    happened: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Listens on the loopback interface and passes on to a server's Unix socket, message by message."""

    def __init__(self, conninfo: str) -> None:
        target = conninfo_to_dict(conninfo)
        self._server = f"{target['host']}/.s.PGSQL.{target.get('port', 5432)}"
        self._listening = socket.create_server(("127.0.0.1", 0))
        host, port = self._listening.getsockname()
        name, user = quote(str(target["dbname"])), quote(str(target["user"]))
        self.conninfo = f"postgresql://{user}@{host}:{port}/{name}?sslmode=disable&gssencmode=disable"
        self.delay = 0.0
        """Seconds by which every request, and every answer, comes later."""
        self.deaf = False
        """Whether notifications are lost."""
        self.notified = 0
        """How many notifications came through."""
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
        """Cut the connection over which this procedure is called next."""
        cut = Cut(procedure, moment)
        with self._lock:
            self._cuts.append(cut)
        return cut

    def cut_all(self) -> None:
        """Cut all connections."""
        for link in self._take_links():
            link.close()

    def strand(self) -> None:
        """From now on nothing comes through on the connections that there are, and they look well; new ones work."""
        for link in self._take_links():
            link.stranded = True

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Nothing comes through, in either direction; then it all does."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def close(self) -> None:
        """End everything."""
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
        """Send, when that is possible."""
        self._flowing.wait()
        while link.stranded and not link.closed:
            time.sleep(0.05)
        to.sendall(data)

    def cut_for(self, request: bytes) -> Cut | None:
        """The cut that this request is to meet; it is met once."""
        with self._lock:
            for cut in self._cuts:
                if f"resolver.{cut.procedure}(".encode() in request:
                    self._cuts.remove(cut)
                    return cut
        return None


class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._unanswered: Cut | None = None
        """The cut that comes when the request that is under way has been answered."""
        self.stranded = False
        self.closed = False

    def start(self) -> None:
        """Pass on in both directions, until either side ends."""
        for work in (self._pass_requests, self._pass_answers):
            threading.Thread(target=self._run, args=[work], name="proxy-link", daemon=True).start()

    def close(self) -> None:
        """Cut it."""
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
                if message[:1] not in b"SQXp":  # to be answered, or not to be
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
                    if kind == b"Z":  # ready for the next query: what was asked is committed
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
