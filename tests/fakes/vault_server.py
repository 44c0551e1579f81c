"""A server in Vault's place that answers as it is told, for failures that a real one has at no time of our choice."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; without a status the connection is cut, while ``hangs`` there is none."""

    status: int | None = None
    body: str = ""
    kind: str = "application/json"
    location: str | None = None
    hangs: bool = False
    garbles: bool = False
    """Whether bytes come that belong to no protocol."""
    echoes: bool = False
    """Whether what was sent, client token included, is told in the error."""


@dataclass(slots=True)
class Told:
    """A server's next answers to requests for secrets, the last one for ever, and the requests it got."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    """The client token that came with each request."""
    address: str = ""
    leave: Event = field(default_factory=Event)

    def next(self) -> Answer:
        """Give the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def count(self, what: str) -> int:
        """Count requests of a method to a path that begins so."""
        return sum(1 for request in self.requests if request.startswith(what))


class _Handler(BaseHTTPRequestHandler):
    """Says of every client token that it lasts, and answers everything else as told."""

    told: Told

    def do_GET(self) -> None:
        """Answer one request."""
        length = int(self.headers.get("content-length") or 0)
        token = self.headers["x-vault-token"]
        sent = f"{token} {self.rfile.read(length).decode()}"
        self.told.requests.append(f"{self.command} {self.path}")
        self.told.tokens.append(token)
        if self.path.endswith("/lookup-self"):
            self.give(Answer(status=200, body='{"data": {"ttl": 0}}'))
        else:
            self.give(self.told.next(), sent)

    def do_POST(self) -> None:
        """Answer one request, in the same way."""
        self.do_GET()

    def give(self, answer: Answer, sent: str = "") -> None:
        """Send that answer."""
        if answer.hangs:
            self.told.leave.wait(20)
        self.close_connection = True
        if answer.garbles:
            with socket.fromfd(self.connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as beneath_tls:
                beneath_tls.sendall(b"this is no answer")
        if answer.hangs or answer.status is None:
            return
        body = json.dumps({"errors": [sent]}) if answer.echoes else answer.body
        self.send_response(answer.status)
        self.send_header("content-type", answer.kind)
        self.send_header("content-length", str(len(body)))
        if answer.location:
            self.send_header("location", answer.location)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def a_server(tls: ssl.SSLContext | None = None) -> Iterator[Told]:
    """Serve, behind TLS if asked to, and stop at the end."""
    told = Told()
    handler = type("Handler", (_Handler,), {"told": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        told.address = f"http{'s' if tls else ''}://127.0.0.1:{http.server_port}"
        if tls is not None:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told
        finally:
            told.leave.set()
            http.shutdown()
            thread.join()
