"""A server that answers with the very bytes that a test gives it, on plain sockets: no library puts them right."""

import json
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

_HANDSHAKE: Final = b"\x16"
"""What a client that speaks TLS begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's fields."""
        return {key: values[0] for key, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def token(self) -> str:
        """What it was asked with."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Bytes to send, in pieces."""

    pieces: Sequence[bytes] = ()
    pause: float = 0
    """Seconds between pieces."""
    hang: bool = False
    """Whether nothing follows, and the connection stays open."""
    close: bool = False
    """Whether the connection is closed after it."""


def reply(status: int, body: bytes | str | object = b"", /, *, close: bool = False, **headers: str) -> Reply:
    """Give a whole answer; what is neither bytes nor a text is sent as JSON."""
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
        headers.setdefault("content_type", "application/json")
    content = body.encode() if isinstance(body, str) else body
    headers.setdefault("content_length", str(len(content)))
    lines = [f"HTTP/1.1 {status} x", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return Reply(pieces=[head if status in {204, 304} else head + content], close=close)


def always(answer: Reply) -> Callable[[Asked], Reply]:
    """Answer everything alike."""
    return lambda _: answer


@dataclass(slots=True)
class ScriptedServer:
    """Serves on a free loopback port while the context lasts; ``answer`` may be changed at any time."""

    answer: Callable[[Asked], Reply]
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _leaving: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _ended: Condition = field(default_factory=Condition)
    _over: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[Thread] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=socket.socket)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def asked_for(self) -> list[tuple[str, str]]:
        """Method and path of each request, in order."""
        return [(one.method, one.path) for one in self.asked]

    def closed(self, number: int, patience: float = 10) -> bool:
        """Wait until that many connections were served and closed by us; tell whether they were."""
        with self._ended:
            return self._ended.wait_for(lambda: self._over >= number, patience)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, with all connections."""
        self._leaving.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            pass  # wakes who waits for a connection
        with self._lock:
            open_ones, threads = self._open[:], self._threads[:]
        for one in open_ones:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        self._listener.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = Thread(target=work, args=arguments, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._leaving.is_set():
                connection.close()
                return
            with self._lock:
                self._open.append(connection)
                self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                while (asked := _read(lines)) is not None:
                    with self._lock:
                        self.asked.append(asked)
                    if not self._say(connection, self.answer(asked)):
                        break
        with self._ended:
            self._over += 1
            self._ended.notify_all()

    def _say(self, connection: socket.socket, said: Reply) -> bool:
        """Send it; tell whether the connection is kept."""
        for piece in said.pieces:
            connection.sendall(piece)
            if said.pause and self._leaving.wait(said.pause):
                return False
        if said.hang:
            self._leaving.wait()
        return not (said.close or said.hang)


def _read(lines: Any) -> Asked | None:
    if lines.peek(1)[:1] == _HANDSHAKE:
        return None  # it would wait for the end of a line
    first = lines.readline().decode("latin-1").split()
    if len(first) < 2:
        return None
    headers: dict[str, str] = {}
    while (line := lines.readline().decode("latin-1").strip()) != "":
        key, _, value = line.partition(":")
        headers[key.lower()] = value.strip()
    body = lines.read(int(headers.get("content-length", "0")))
    return Asked(method=first[0], target=first[1], headers=headers, body=body)
