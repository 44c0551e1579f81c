"""The simulated Secrets Manager behind AWS's own protocol, on a free port, with every fault to be had at a wish."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import format_datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

from provisioner.ports.clock import Clock
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.secrets_manager import RejectionError, SecretsManager

_JSON: Final = "application/x-amz-json-1.1"
_NO_ROLE: Final = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no role</Message></Error></ErrorResponse>"


class Fault(StrEnum):
    """What may come in the way of one request."""

    THROTTLED = "throttled"
    DENIED = "denied"
    EXPIRED = "expired"
    ERROR_BEFORE = "error before the effect"
    ERROR_AFTER = "error after the effect"
    CUT_BEFORE = "connection cut before the effect"
    CUT_AFTER = "connection cut after the effect"
    SLOW = "no answer, after the effect"
    LATE = "no answer, and the effect when it is delivered"
    ECHO = "a refusal that repeats what was sent"
    PAGE = "a page of somebody else"
    GARBLED = "half an answer, after the effect"


_REJECTIONS: Final = {
    Fault.THROTTLED: RejectionError("ThrottlingException", "Rate exceeded"),
    Fault.EXPIRED: RejectionError("ExpiredTokenException", "The security token included in the request is expired"),
    Fault.ERROR_BEFORE: RejectionError("InternalServiceError", "An error occurred on the server side.", 500),
}


@dataclass(slots=True)
class Knobs:
    """Which requests go wrong, by operation; turned at any moment."""

    queues: dict[str, list[Fault]] = field(default_factory=dict)
    """The next requests of an operation, one fault each."""
    always: dict[str, Fault] = field(default_factory=dict)
    """Every request of an operation."""
    before: Callable[[str], None] = field(default=lambda _: None)
    """Called with the operation's name before each request."""

    def next(self, operation: str) -> Fault | None:
        """Give what goes wrong with the next request of an operation."""
        queue = self.queues.get(operation)
        return queue.pop(0) if queue else self.always.get(operation)


class SecretsManagerServer:
    """Serves on a free loopback port, on threads of this process, while the context lasts."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Begin without secrets; it listens at once, and answers inside the context."""
        self.clock = clock or SystemClock()
        self.service = SecretsManager(self.clock)
        self.knobs = Knobs()
        self.requests: list[str] = []
        """The operations asked for, in order."""
        self.late: list[tuple[str, dict[str, Any]]] = []
        self.leave = Event()
        self._lock = Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_of_all": self}))
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, name="secrets manager", daemon=True
        )

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until nothing listens."""
        self.leave.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def carry_out(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry one request out, as nobody else does at the moment."""
        with self._lock:
            return self.service.answer(operation, request)

    def deliver(self) -> list[str]:
        """Carry out what was late; give how each ended: ``landed``, or the name of its rejection."""
        ended = []
        while self.late:
            try:
                self.carry_out(*self.late.pop(0))
            except RejectionError as error:
                ended.append(error.code)
            else:
                ended.append("landed")
        return ended


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of AWS's JSON protocol."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: else the client acknowledges the head 40 ms later
    server_of_all: SecretsManagerServer

    def do_POST(self) -> None:
        """Answer one request."""
        server = self.server_of_all
        sent = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        operation = (self.headers.get("x-amz-target") or "").rpartition(".")[2]
        if not operation:  # somebody asks STS for a role: it has none to give
            self._give(403, _NO_ROLE, kind="text/xml")
            return
        server.requests.append(operation)
        server.knobs.before(operation)
        fault = server.knobs.next(operation)
        try:
            answer = self._outcome(operation, sent, fault)
        except RejectionError as error:
            self._give(error.status, json.dumps({"__type": error.code, "message": error.message}))
        else:
            self._end(answer, fault)

    def _outcome(self, operation: str, sent: str, fault: Fault | None) -> dict[str, Any]:
        """Carry it out, or let what is in the way happen before."""
        server = self.server_of_all
        if not (self.headers.get("authorization") or "").startswith("AWS4-HMAC-SHA256 "):
            raise RejectionError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        if fault in _REJECTIONS:
            raise _REJECTIONS[fault]
        if fault is Fault.DENIED:
            raise RejectionError("AccessDeniedException", f"User is not authorized to perform {operation}")
        if fault is Fault.ECHO:
            raise RejectionError("ValidationException", f"not understood: {sent} {dict(self.headers)}")
        if fault is Fault.LATE:
            server.late.append((operation, json.loads(sent)))
        if fault in {Fault.LATE, Fault.CUT_BEFORE, Fault.PAGE}:
            return {}
        return server.carry_out(operation, json.loads(sent))

    def _end(self, answer: dict[str, Any], fault: Fault | None) -> None:
        match fault:
            case Fault.ERROR_AFTER:
                error = _REJECTIONS[Fault.ERROR_BEFORE]
                self._give(error.status, json.dumps({"__type": error.code, "message": error.message}))
            case Fault.CUT_BEFORE | Fault.CUT_AFTER | Fault.LATE:
                self.close_connection = True
            case Fault.SLOW:
                self.server_of_all.leave.wait(20)
                self.close_connection = True
            case Fault.PAGE:
                self._give(404, "<html>no such page</html>", kind="text/html")
            case Fault.GARBLED:
                self._give(200, json.dumps(answer)[:7])
            case _:
                self._give(200, json.dumps(answer))

    def _give(self, status: int, body: str, *, kind: str = _JSON) -> None:
        self.send_response_only(status)
        self.send_header("date", format_datetime(self.server_of_all.clock.now(), usegmt=True))
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""
