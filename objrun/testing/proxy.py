"""A proxy between a client and a server on loopback that counts requests and lets them go wrong.

    with proxy_to(server.port) as proxy:
        store = connect(url, **server.options_at(proxy.port))
        proxy.plan = lambda request: DropAnswer() if request.method == "PUT" else None

Every request is noted in `proxy.log` before its plan is asked for, so retries inside a client are
seen too.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

from objrun import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Answer", "Delay", "DropAnswer", "Proxy", "Request", "Reset", "Trickle", "proxy_to"]

_HOP = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
)


class Request(NamedTuple):
    """What a client asked: the method, and the path with its query as it was sent."""

    method: str
    path: str


@dataclass(frozen=True)
class DropAnswer:
    """Let the server act and close the connection instead of answering: a lost acknowledgement."""


@dataclass(frozen=True)
class Reset:
    """Reset the connection; the server never hears of the request."""


@dataclass(frozen=True)
class Answer:
    """Answer in the server's stead, which never hears of the request."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/xml"),)


@dataclass(frozen=True)
class Delay:
    """Wait so many seconds before the server is asked."""

    seconds: float


@dataclass(frozen=True)
class Trickle:
    """Send the first `count` bytes of the answer's body one by one, `seconds` apart."""

    count: int
    seconds: float


Act = DropAnswer | Reset | Answer | Delay | Trickle


class Proxy:
    """A running proxy: its `port`, the `log` of requests, and the `plan` for those to come."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.log: list[Request] = []
        self.plan: Callable[[Request], Act | None] = lambda _: None
        self.server = _Server(self)

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self.server.server_port

    def next_only(self, act: Act, method: str | None = None) -> None:
        """Plan `act` for the next request, of `method` if given, and nothing for those after."""
        lock = threading.Lock()

        def plan(request: Request) -> Act | None:
            if method is not None and request.method != method:
                return None
            return act if lock.acquire(blocking=False) else None

        self.plan = plan


@contextmanager
def proxy_to(upstream: int) -> Iterator[Proxy]:
    """Run a proxy to a port of loopback for as long as the context lasts."""
    proxy = Proxy(upstream)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # More clients than the default 5 may connect at once.
    request_queue_size = 128

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client hangs up: those under test are meant to."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path)
        self.server.proxy.log.append(request)
        act = self.server.proxy.plan(request)
        if isinstance(act, Delay):
            clock.sleep(act.seconds)
        if isinstance(act, Reset):
            # A socket closed without lingering resets the connection.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
        elif isinstance(act, Answer):
            self._answer(act.status, [*act.headers], act.body)
        else:
            answer, data = self._forward(body)
            if isinstance(act, DropAnswer):
                self._hang_up()
            elif isinstance(act, Trickle):
                self._answer(answer.status, answer.getheaders(), data, act)
            else:
                self._answer(answer.status, answer.getheaders(), data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve  # noqa: N815 - names of http.server

    def _forward(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        own = {"host", "expect", "connection"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in own}
        connection = HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, act: Trickle | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        slow = act.count if act else 0
        for byte in data[:slow]:
            self.wfile.write(bytes([byte]))
            clock.sleep(act.seconds if act else 0.0)
        self.wfile.write(data[slow:])

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of http.server
        pass
