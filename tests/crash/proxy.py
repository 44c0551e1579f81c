"""A proxy between a client and an HTTP server that does something at a chosen request.

Either before the request is passed on, or when the server has answered and the answer has not been passed on. Nothing
of what passes is kept but methods and paths.
"""

import http.client
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Final, NoReturn

_NOT_PASSED_ON: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


class CutError(Exception):
    """Raised by an act: the client's connection is cut, whatever it waits for."""


def cut() -> NoReturn:
    """Cut the connection: an act for ``Proxy.at``."""
    raise CutError


@dataclass(slots=True)
class _Point:
    """One place at which something is done, once."""

    method: str
    path_part: str
    act: Callable[[], None]
    answered: bool
    left: int
    happened: Event = field(default_factory=Event)


class _Server(ThreadingHTTPServer):
    """Keeps what went wrong in its threads, and knows its connections so that it can end them."""

    daemon_threads = False  # so that its end waits for them

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.failures: list[BaseException] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep it for the end instead of printing it; an end of a connection is nothing wrong here."""
        del request, client_address
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.failures.append(error)


class Proxy:
    """What the client's address is, what has passed, and what is to be done when."""

    def __init__(self, target_port: int) -> None:
        self.target_port, self.address = target_port, ""
        self.requests: list[str] = []
        """Each request as ``METHOD /path``, in order, whether it was passed on or not."""
        self.is_severed = False
        """While this is true every request is cut before it is passed on."""
        self._lock = Lock()
        self._points: list[_Point] = []
        self._connections: set[socket.socket] = set()
        self._is_over = False

    def at(self, method: str, path_part: str, act: Callable[[], None], *, answered: bool, count: int = 1) -> Event:
        """Do ``act`` at the ``count``-th request of that method whose path holds ``path_part``, counted from now on.

        With ``answered`` the server has answered by then. ``act`` runs on the connection's own thread and may wait;
        raising CutError (see ``cut``) ends the connection. Gives an event that is set when it has come so far.
        """
        point = _Point(method, path_part, act, answered, count)
        with self._lock:
            self._points.append(point)
        return point.happened

    def sever(self) -> None:
        """Cut every connection there is, and every request from now on, until ``mend``."""
        self.is_severed = True
        self.end_connections()

    def mend(self) -> None:
        """Let requests pass again."""
        self.is_severed = False

    def end_connections(self, *, for_good: bool = False) -> None:
        """Cut every connection there is, and with ``for_good`` also one that is only just being taken."""
        with self._lock:
            self._is_over = for_good
            for connection in self._connections:
                _end(connection)

    def note(self, method: str, path: str) -> list[_Point]:
        """Note a request; give what is to be done at it."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            met = [point for point in self._points if point.method == method and point.path_part in path]
            for point in met:
                point.left -= 1
            due = [point for point in met if point.left == 0]
            self._points = [point for point in self._points if point.left > 0]
            return due

    def keep(self, connection: socket.socket) -> None:
        """Know a connection."""
        with self._lock:
            self._connections.add(connection)
            if self._is_over:
                _end(connection)

    def forget(self, connection: socket.socket) -> None:
        """Know a connection no longer."""
        with self._lock:
            self._connections.discard(connection)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on, one connection to the server each."""

    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def setup(self) -> None:
        """Make the connection known."""
        super().setup()
        self.proxy.keep(self.connection)

    def finish(self) -> None:
        """Let go of the connection."""
        self.proxy.forget(self.connection)
        super().finish()

    def do_GET(self) -> None:
        """Pass one request on, and its answer back."""
        due = self.proxy.note(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            self._act(due, answered=False)
            status, headers, answer = self._ask(body)
            self._act(due, answered=True)
        except CutError:
            self.close_connection = True
            _end(self.connection)
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        if status != http.client.NO_CONTENT:
            self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self) -> None:
        """Pass one on, in the same way; so do the ones below."""
        self.do_GET()

    def do_PUT(self) -> None:
        """See above."""
        self.do_GET()

    def do_PATCH(self) -> None:
        """See above."""
        self.do_GET()

    def do_DELETE(self) -> None:
        """See above."""
        self.do_GET()

    def do_LIST(self) -> None:
        """See above."""
        self.do_GET()

    def _act(self, due: list[_Point], *, answered: bool) -> None:
        for point in due:
            if point.answered is answered:
                point.happened.set()
                point.act()

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the server; one that is not there, or a severed network, cuts the connection."""
        if self.proxy.is_severed:
            raise CutError
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.target_port, timeout=60)
        try:
            connection.request(self.command, self.path, body=body or None, headers=dict(self.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError:
            raise CutError from None
        finally:
            connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def a_proxy(target_port: int) -> Iterator[Proxy]:
    """Give a proxy to a server on this machine, listening on a free port of its own while the context lasts."""
    proxy = Proxy(target_port)
    with _Server(type("Handler", (_Handler,), {"proxy": proxy})) as server:
        proxy.address = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
            proxy.end_connections(for_good=True)  # the threads that wait for a next request end with them
    assert server.failures == []
