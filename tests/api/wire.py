"""HTTP by hand: what is sent is exactly what a test says, however odd, and what comes back is seen as it is."""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_WITHIN = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; ``head`` and ``body`` as they were on the wire."""

    status: int
    head: str
    body: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers, by their names in lower case."""
        lines = [line.partition(":") for line in self.head.split("\r\n")[1:]]
        return {name.lower(): value.strip() for name, _, value in lines}


class Wire:
    """One client, which connects again whenever it was hung up on."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._socket: socket.socket | None = None
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._pending = None, b""

    def ask(self, verb: str, target: str, *lines: bytes, body: bytes = b"") -> Answer:
        """Make a request with these lines in its head, and give its answer."""
        framing = [b"Host: x", b"Content-Length: %d" % len(body)] if body else [b"Host: x"]
        head = b"\r\n".join([f"{verb} {target} HTTP/1.1".encode(), *framing, *lines, b"", b""])
        for _ in range(2):
            try:
                self.send(head + body)
                return self.answer(has_body=verb != "HEAD")
            except ConnectionError:  # the answer before had ended the connection
                self.hang_up()
        raise ConnectionError(f"{verb} {target[:60]} was not answered")

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_WITHIN)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(data)

    def answer(self, *, has_body: bool = True) -> Answer:
        """Give the next answer; raises ConnectionError where there is none."""
        while b"\r\n\r\n" not in self._pending:
            self._more()
        head, _, self._pending = self._pending.partition(b"\r\n\r\n")
        told = Answer(status=int(head.split()[1]), head=head.decode("latin-1"), body="")
        length = int(told.headers.get("content-length", 0)) if has_body else 0
        while len(self._pending) < length:
            self._more()
        body, self._pending = self._pending[:length], self._pending[length:]
        if told.headers.get("connection", "").lower() == "close":
            self.hang_up()
        return Answer(status=told.status, head=told.head, body=body.decode())

    def is_over(self) -> bool:
        """Tell that nothing comes any more: waits for the other side to hang up."""
        try:
            while True:
                self._more()
        except ConnectionError:
            return not self._pending

    def _more(self) -> None:
        got = b"" if self._socket is None else self._socket.recv(65536)
        if not got:
            raise ConnectionError("hung up on")
        self._pending += got
