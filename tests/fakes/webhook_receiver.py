"""A webhook's receiver on a free loopback port, and the example of one that stands in the documentation."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


class Receiver:
    """Takes note of everything, and answers as it is told: a status, or in one of the ways below; else 204.

    ``hang`` gives no answer, ``break`` breaks the connection, ``trickle`` never comes to the end of its head, and
    ``endless`` says yes with a body that never ends.
    """

    def __init__(self) -> None:
        self.asked: list[Delivery] = []
        self.answers: list[int | str] = []
        self.sent = 0
        """How much of endless answers was sent."""
        self._leave = Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            """One connection."""

            def do_POST(self) -> None:  # the standard library's name
                """Take note, and answer."""
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.asked.append(Delivery(method="POST", path=self.path, headers=headers, body=body))
                receiver._answer(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, int):
            handler.send_response(answer)
            handler.send_header("Location", f"{self.url}/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.close_connection = True
        if answer == "endless":
            handler.send_response(200)
            handler.end_headers()
            while not self._leave.is_set():
                try:
                    handler.wfile.write(b"x" * 65536)
                except OSError:
                    break
                self.sent += 65536
        if answer == "hang":
            self._leave.wait(10)
        if answer == "trickle":
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 500:
                if self._leave.wait(0.05):
                    break
                try:
                    handler.wfile.write(bytes([byte]))
                except OSError:
                    break

    def __enter__(self) -> Self:
        """Begin."""
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._leave.set()
        self._server.shutdown()
        self._server.server_close()


def example_of(document: str, name: str) -> Callable[..., Any]:
    """Give a function as an example in the documentation defines it."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    (block,) = [block for block in blocks if f"def {name}(" in block]
    namespace: dict[str, Any] = {}
    exec(block, namespace)  # noqa: S102  # our own documentation, which is to work
    found: Callable[..., Any] = namespace[name]
    return found
