"""The API answers nothing it should not to someone without the token: every verb, every path, however spelt."""

import json
from collections.abc import Callable, Iterator
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final

import pytest
import structlog.testing

from provisioner.api.application import create_app
from provisioner.api.view import HTTP
from tests.api.conftest import API_TOKEN, Served
from tests.api.wire import Answer, Wire
from tests.builders import uid
from tests.fakes.view import FakeView
from tests.leaks.search import assert_untold

STANDARD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")
DAV = ("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT", "ACL", "BIND")
ODD = ("X", "ROTATE", "PURGE", "GETS", "POST-POST", "!#$%&'*+.^_`|~", "G" * 200)
OTHER_CASE = ("get", "Get", "head", "options", "trace", "post", "Post", "delete")
READS = ("GET", "HEAD", "OPTIONS", "TRACE")
VERBS = (*STANDARD, *DAV, *ODD, *OTHER_CASE)
WRITES = tuple(verb for verb in VERBS if verb not in READS)
BODY = json.dumps({"all": True, "request_id": "of-a-stranger"}).encode()
ECHO = "zq7-echo-me-if-you-can"
PLAIN_HEADERS = {
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "referrer-policy",
    "www-authenticate",
    "x-content-type-options",
}
OF_EVERY_ANSWER = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def bearer(text: str | bytes) -> bytes:
    """Give the header line of a token."""
    return b"Authorization: Bearer " + (text if isinstance(text, bytes) else text.encode())


CREDENTIALS: Final[dict[str, tuple[bytes, ...]]] = {
    "nothing": (),
    "a wrong token": (bearer("x" * len(API_TOKEN)),),
    "one byte more": (bearer(f"{API_TOKEN}x"),),
    "one byte less": (bearer(API_TOKEN[:-1]),),
    "another case": (bearer(API_TOKEN.upper()),),
    "an empty one": (bearer(""),),
    "a long one": (bearer(API_TOKEN * 300),),
    "bytes of no text": (bearer(b"\xff\xfe\x80"),),
    "twice in one": (bearer(f"{API_TOKEN}, Bearer {API_TOKEN}"),),
    "no scheme": (f"Authorization: {API_TOKEN}".encode(),),
    "as Basic": (f"Authorization: Basic {API_TOKEN}".encode(),),
    "as Token": (f"Authorization: Token {API_TOKEN}".encode(),),
    "two headers": (bearer(API_TOKEN), bearer(API_TOKEN)),
    "a wrong one first": (bearer("x"), bearer(API_TOKEN)),
    "elsewhere": (
        f"X-Api-Token: {API_TOKEN}".encode(),
        f"Proxy-Authorization: Bearer {API_TOKEN}".encode(),
        f"Cookie: token={API_TOKEN}; Authorization=Bearer {API_TOKEN}".encode(),
    ),
    "as somebody else": (
        b"X-HTTP-Method-Override: POST",
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Original-URL: /v1/rotations",
        b"Forwarded: for=127.0.0.1;proto=https",
    ),
}


def spelt_oddly(path: str) -> Iterator[str]:
    """Give a path in the ways in which servers and what stands before them have been of two minds."""
    yield from (path, f"{path}/", f"/{path}", path.upper(), path.title())
    yield from (
        f"{path}?token={API_TOKEN}&access_token={API_TOKEN}",
        f"{path}?",
        f"{path};v=1",
        f"{path}%00",
        f"{path}%20",
    )
    yield from (f"/.{path}", f"/x/..{path}", f"/%2e%2e{path}", f"{path}/%2e", f"/healthz/..;{path}", f"\\{path}"[1:])
    yield "/" + path[1:].replace("/", "%2f")
    yield "/" + path[1:].replace("/", "%252f")
    yield "/" + "".join(f"%{ord(letter):02x}" for letter in path[1:])
    yield from (f"http://x{path}", f"https://x{path}", f"HTTP://127.0.0.1:1{path}")
    yield path[1:] or "*"
    yield f"{path}?{'a' * 8000}"


def routes(router: Any) -> Iterator[Any]:
    """Give the routes of a router, and of those that are included in it."""
    for route in router.routes:
        included = getattr(route, "original_router", None)
        yield from [route] if included is None else routes(included)


def paths() -> tuple[str, ...]:
    """Give every path that the application has a route for, and some it has none for."""
    app: Any = create_app(FakeView(), via=HTTP)
    patterns = sorted({route.path for route in routes(app._app)})
    assert len(patterns) == len({*patterns, *app._app.openapi()["paths"], "/openapi.json"})
    known = {"{name}": ("telegraf", "nobody"), "{id}": (uid(1),)}
    filled = [
        pattern.replace(name, value)
        for pattern in patterns
        for name, values in known.items()
        for value in values
        if name in pattern
    ]
    plain = [pattern for pattern in patterns if "{" not in pattern]
    return (*plain, *filled, "/v1", "/docs", "/redoc", "/nothing", "/v1/tokens/../../etc/passwd")


PATHS = paths()
TARGETS = tuple(dict.fromkeys(target for path in PATHS for target in spelt_oddly(path)))


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    """Give a client over TCP."""
    with Wire(served.url) as wire:
        yield wire


class Judge:
    """Knows what is open to everybody, and judges every other answer."""

    def __init__(self, wire: Wire, token: str | None) -> None:
        self._refusals = {400, 403 if token is None else 401}
        seen = [wire.ask("GET", path) for path in PATHS]
        self._open = {answer.body for answer in seen if answer.status == 200}
        assert len(self._open) == 8

    def __call__(self, verb: str, target: str, answer: Answer) -> None:
        """Judge one answer; what stands in ``what`` is what was asked."""
        what = f"{verb[:20]} {target[:80].replace(API_TOKEN, 'TOKEN')}: {answer.status}"
        if answer.status == 200:
            assert (verb, answer.body in self._open) == ("GET", True), what
        elif verb in READS:
            assert answer.status in {400, 404, 405, 422}, what
        else:
            assert answer.status in self._refusals, what
        assert set(answer.headers) <= PLAIN_HEADERS, what
        if verb == "HEAD":
            assert not answer.body, what
        elif answer.status != 200:
            told = json.loads(answer.body)
            assert (told["status"], answer.headers["content-type"]) == (answer.status, "application/problem+json"), what
            assert set(told) <= {"type", "title", "status", "detail", "errors"}, what
        for name, value in OF_EVERY_ANSWER.items():
            assert answer.headers.get(name, value) == value, what
        assert_untold(API_TOKEN, answer.head, answer.body)
        assert_untold(ECHO, answer.head, answer.body)


CONFIGURED = pytest.mark.parametrize("token", [None, API_TOKEN], ids=["no token configured", "a token configured"])


@CONFIGURED
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[:12])
def test_every_verb_at_every_path_however_it_is_spelt(served: Served, wire: Wire, token: str | None, verb: str) -> None:
    """What changes something is refused everywhere; what reads gives what is open or nothing; no wish comes of it."""
    served.view.token = token
    judge = Judge(wire, token)
    echo = f"X-Echo: {ECHO}".encode()
    for target in TARGETS:
        answer = wire.ask(verb, target, b"Content-Type: application/json", echo, body=BODY)
        judge(verb, target, answer)
    assert served.view.wishes == []


@CONFIGURED
@pytest.mark.parametrize("given", CREDENTIALS)
def test_every_way_of_not_having_the_token(served: Served, wire: Wire, token: str | None, given: str) -> None:
    """Every verb that changes something at every path, and POST at each of their spellings."""
    served.view.token = token
    judge = Judge(wire, token)
    asked = [(verb, target) for verb in WRITES for target in PATHS] + [("POST", target) for target in TARGETS]
    for verb, target in asked:
        answer = wire.ask(verb, target, b"Content-Type: application/json", *CREDENTIALS[given], body=BODY)
        judge(verb, target, answer)
    assert served.view.wishes == []


@pytest.mark.parametrize("line", [bearer(API_TOKEN), b"authorization:bearer   " + API_TOKEN.encode() + b" "])
def test_with_the_token_the_same_request_is_taken(served: Served, wire: Wire, line: bytes) -> None:
    """Else all that is above would prove nothing; the scheme is written in any case, as HTTP has it."""
    served.view.token = API_TOKEN
    answer = wire.ask("POST", "/v1/rotations", b"Content-Type: application/json", line, body=BODY)
    assert answer.status == 202
    assert len(served.view.wishes) == 1


POST = b"POST /v1/rotations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WITH = POST + bearer(API_TOKEN) + b"\r\n"
INSIDE = b"POST /v1/tokens/telegraf/rotate HTTP/1.1\r\nHost: x\r\n" + bearer(API_TOKEN) + b"\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED: Final[dict[str, bytes]] = {
    "length and chunks": WITH + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + INSIDE,
    "chunks and length": WITH + CHUNKED + b"Content-Length: %d\r\n\r\n0\r\n\r\n" % (5 + len(INSIDE)) + INSIDE,
    "two lengths": WITH + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(INSIDE) + INSIDE,
    "two lengths in one": WITH + b"Content-Length: 0, %d\r\n\r\n" % len(INSIDE) + INSIDE,
    "another coding": WITH + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INSIDE,
    "two codings": WITH + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + INSIDE,
    "two headers of codings": WITH + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + INSIDE,
    "a blank before the colon": WITH + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INSIDE,
    "chunks in HTTP/1.0": WITH.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n" + INSIDE,
    "a chunk of no size": WITH + CHUNKED + b"\r\nzz\r\n" + INSIDE,
    "a chunk with a sign": WITH + CHUNKED + b"\r\n+0\r\n\r\n" + INSIDE,
    "a bare line feed in a chunk": WITH + CHUNKED + b"\r\n2\r\n{}XX0\r\n\r\n" + INSIDE,
    "a length with a sign": WITH + b"Content-Length: +0\r\n\r\n" + INSIDE,
    "a negative length": WITH + b"Content-Length: -1\r\n\r\n" + INSIDE,
    "two hosts": WITH + b"Host: y\r\nContent-Length: 0\r\n\r\n" + INSIDE,
    "a bare return in a header": WITH + b"X: a\rContent-Length: 0\r\n\r\n" + INSIDE,
    "a NUL in a header": WITH + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n" + INSIDE,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + INSIDE,
    "HTTP/2 by its number": WITH.replace(b"1.1", b"2.0") + b"Content-Length: 0\r\n\r\n" + INSIDE,
    "a long head": WITH + b"Content-Length: 0\r\nX: " + b"x" * 17_000 + b"\r\n\r\n" + INSIDE,
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_what_can_be_read_in_two_ways_is_not_read_at_all(served: Served, wire: Wire, how: str) -> None:
    """400, and the connection ends: what comes behind it, with the token though it is, is no request."""
    served.view.token = API_TOKEN
    wire.send(SMUGGLED[how])
    answer = wire.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert json.loads(answer.body)["status"] == 400
    assert served.tcp.get("/healthz").status_code == 200
    assert served.view.wishes == []


def test_each_request_of_a_connection_needs_the_token_itself(served: Served, wire: Wire) -> None:
    """One with it does not open the connection to the next; sent all at once they are answered in their order."""
    served.view.token = API_TOKEN
    length = b"Content-Length: %d\r\n\r\n" % len(BODY)
    wire.send(WITH + length + BODY + POST + length + BODY + WITH + length + BODY)
    assert [wire.answer().status for _ in range(3)] == [202, 401, 202]
    assert len(served.view.wishes) == 2


UPGRADES: Final[dict[str, tuple[bytes, ...]]] = {
    "websocket": (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: eA==",
    ),
    "h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    "TLS": (b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
}


@pytest.mark.parametrize("upgrade", UPGRADES)
def test_no_other_protocol_is_taken_up(
    served: Served, wire: Wire, upgrade: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection stays one of HTTP/1.1, a write verb is refused in it, and the log is not filled by it."""
    served.view.token = API_TOKEN
    assert wire.ask("GET", "/healthz", *UPGRADES[upgrade]).status == 200
    assert wire.ask("POST", "/v1/rotations", *UPGRADES[upgrade], body=BODY).status == 401
    wire.send(b"\x16\x03\x01 no HTTP\r\n\r\n")
    assert served.view.wishes == []
    assert [each.getMessage() for each in caplog.records if each.name.startswith("uvicorn")] == []


def test_who_waits_to_be_told_to_go_on_is_told_only_with_the_token(served: Served, wire: Wire) -> None:
    """Without it the refusal comes at once, and the body is nobody's; with it, 100 and then the answer."""
    served.view.token = API_TOKEN
    waits = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    wire.send(POST + waits)
    assert wire.answer().status == 401
    wire.hang_up()
    wire.send(WITH + waits)
    assert wire.answer().status == 100
    wire.send(BODY)
    assert wire.answer().status == 202
    assert len(served.view.wishes) == 1


def _holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


TOKEN: Final = API_TOKEN.encode()
FILES: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "missing": (Path.exists, "No such file"),
    "a folder": (Path.mkdir, "Is a directory"),
    "empty": (_holding(b""), "is empty"),
    "blank": (_holding(b" \n\t\r\n"), "is empty"),
    "no text": (_holding(b"\xff\xfe" + TOKEN), "is not text"),
    "two lines": (_holding(TOKEN + b"\n" + TOKEN), "one word of visible ASCII"),
    "an umlaut": (_holding("schlüssel".encode()), "one word of visible ASCII"),
    "a mark of byte order": (_holding(b"\xef\xbb\xbf" + TOKEN), "one word of visible ASCII"),
    "a NUL": (_holding(TOKEN + b"\x00"), "one word of visible ASCII"),
    "long": (_holding(TOKEN * 300), "more than 4096 characters"),
    "huge": (_holding(TOKEN * 10_000), "larger than 65536 bytes"),
}


@pytest.mark.parametrize("what", FILES)
def test_without_a_token_to_compare_with_nobody_is_let_in(
    served: Served, wire: Wire, what: str, tmp_path: Path
) -> None:
    """503 to everybody alike, whatever they send, and the log says why; put right, it holds at the next request."""
    file, (make_it, why) = tmp_path / "api-token", FILES[what]
    make_it(file)
    served.token_from(file)
    with structlog.testing.capture_logs() as logged:
        for lines in ((), (bearer(API_TOKEN),), (bearer(""),), (bearer("schlüssel"),), (bearer("-"),)):
            answer = wire.ask("POST", "/v1/rotations", b"Content-Type: application/json", *lines, body=BODY)
            assert (answer.status, "token-unreadable" in answer.body) == (503, True)
            assert_untold(API_TOKEN, answer.head, answer.body)
    assert {(entry["event"], entry["log_level"]) for entry in logged} == {("api_token_unreadable", "warning")}
    assert all(why in entry["error"] and "server.api_token" in entry["error"] for entry in logged)
    assert_untold(API_TOKEN, str(logged))
    assert served.view.wishes == []
    served.token_from(tmp_path / "put-right")
    (tmp_path / "put-right").write_bytes(b"\r\n " + TOKEN + b"\n")
    answer = wire.ask("POST", "/v1/rotations", b"Content-Type: application/json", bearer(API_TOKEN), body=BODY)
    assert answer.status == 202


def test_what_is_compared_is_as_long_whatever_was_sent(
    served: Served, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request that needs the token is compared once, in constant time, over texts of one length."""
    compared: list[tuple[int, int]] = []

    def watched(ours: bytes, theirs: bytes) -> bool:
        compared.append((len(ours), len(theirs)))
        return compare_digest(ours, theirs)

    monkeypatch.setattr("provisioner.api.guard.compare_digest", watched)
    served.view.token = API_TOKEN
    for lines in CREDENTIALS.values():
        wire.ask("POST", "/v1/rotations", *lines, body=BODY)
    assert compared == [(32, 32)] * len(CREDENTIALS)
