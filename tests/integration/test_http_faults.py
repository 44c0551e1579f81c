"""Both issuers that speak HTTP against servers that misbehave: faults are told apart, nothing is repeated."""

from contextlib import closing

import pytest

from provisioner.domain.errors import (
    ConfigurationError,
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    OutcomeUnknownError,
    TokenUnreadableError,
)
from provisioner.issuers import http_answer
from provisioner.runtime.clock import SystemClock
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, always, reply
from tests.http_issuers import (
    EFFECTS,
    EVERY,
    KINDS,
    LONG,
    SHORT,
    STRING,
    Expected,
    a_request,
    an_issuer,
    ending,
    facing,
    minted,
    unknown,
    well,
    wire_token,
)

# --- statuses -----------------------------------------------------------------------------------------

NOT_NOW = {408, 425, 429}
SPECIAL: dict[tuple[str, str], dict[int, Expected]] = {
    ("influxdb3", "create"): {405: IssuerRefusedError, 409: TokenUnreadableError},
    ("influxdb3", "prove"): {401: False, 403: False},
    ("influxdb3", "accepts"): {401: False, 403: False},
    ("influxdb-management-api", "create"): {409: OutcomeUnknownError},
    ("influxdb-management-api", "prove"): {400: False, 404: False},
    ("influxdb-management-api", "revoke"): {404: None},
    ("influxdb-management-api", "amend"): {501: IssuerRefusedError},
    ("influxdb-management-api", "accepts"): {401: False, 403: False},
}


def expected_of(kind: str, operation: str, status: int) -> Expected:
    """Say what a status means."""
    special = SPECIAL.get((kind, operation), {})
    if status in special:
        return special[status]
    if status in {401, 403}:  # another credential may be another kind of token
        return CredentialRefusedError
    if status in NOT_NOW:
        return IssuerUnavailableError
    return unknown(operation) if status >= 500 else IssuerRefusedError


@pytest.mark.parametrize(("kind", "operation"), EVERY)
def test_every_status_is_told_for_what_it_is(kind: str, operation: str) -> None:
    """From 400 to 599: surely nothing done, nobody knows, or a person has to mend something; no create twice."""
    with ScriptedServer(well(kind)) as server, closing(an_issuer(kind, server.url)) as issuer:
        seen: dict[int, Expected] = {}
        for status in range(400, 600):
            server.answer = always(reply(status, {"code": status, "message": "as the test says"}))
            seen[status] = ending(issuer, operation)
        changes = [asked for asked in server.asked if asked.method in {"POST", "PATCH"}]
    assert seen == {status: expected_of(kind, operation, status) for status in range(400, 600)}
    assert len(changes) == (200 if operation in {"create", "amend"} else 0)


def test_message_names_the_right_that_is_missing() -> None:
    """A 403 says what the credential has to be."""
    with facing("influxdb3", reply(403, "")) as (_, issuer), pytest.raises(IssuerRefusedError, match="admin token"):
        issuer.create(a_request())
    because = r"denied \(403\): no: its credential needs .* management token"
    with (
        facing(KINDS[1], reply(403, {"code": 403, "message": "no"})) as (_, issuer),
        pytest.raises(IssuerRefusedError, match=because),
    ):
        issuer.list()


# --- bodies -------------------------------------------------------------------------------------------

HTML = "<html><body>Welcome to the wrong server</body></html>"
BODIES: dict[str, Reply] = {
    "empty": reply(200, b""),
    "no JSON": reply(200, "all is well", content_type="application/json"),
    "half a JSON": reply(200, b'[{"id": "7", "desc', content_type="application/json"),
    "a page": reply(200, HTML, content_type="text/html; charset=utf-8"),
    "a number": reply(200, 17),
    "a text": reply(200, '"token"'),
    "an error": reply(200, {"code": 500, "message": "no"}),
    "errors, and nothing": reply(200, {"data": None, "errors": [{"message": "no"}]}),
    "no errors": reply(200, {"errors": []}),
    "no object": reply(200, {}),
    "null": reply(200, b"null"),
    "one token that is no list": reply(200, {"id": "x", "name": "x", "links": []}),
    "a list of something": reply(200, {"links": []}),
    "two lists": reply(200, {"tokens": None, "data": [{"id": "x"}]}),
    "texts": reply(200, ["7", "8"]),
    "tokens without an id": reply(200, [{"description": "x"}]),
    "no UTF-8": reply(200, b"\xff\xfe[]"),
    "deeper than any": reply(200, "[" * 200_000),
    "a number longer than any": reply(200, "[" + "7" * 10_000 + "]"),
    "compressed": reply(200, b"\x1f\x8b[]", content_encoding="gzip"),
}
READ_BY = {"list", "prove", "accepts"}


@pytest.mark.parametrize(("kind", "operation"), [one for one in EVERY if one[1] in {*READ_BY, "create"}])
@pytest.mark.parametrize("body", BODIES)
def test_yes_that_is_not_understood(kind: str, operation: str, body: str) -> None:
    """What is no list is no empty list; after a create it means a token whose string nobody has."""
    with facing(kind, BODIES[body]) as (server, issuer):
        expected = IssuerRefusedError if operation in READ_BY else TokenUnreadableError
        assert ending(issuer, operation) is expected
        assert len(server.asked) == 1


YES = {"create": {200, 201}, "revoke": {200, 204}, "amend": {200, 204}}
"""What says yes to what; elsewhere 200 alone."""


@pytest.mark.parametrize(("kind", "operation"), EVERY)
def test_other_ways_to_say_yes_say_nothing(kind: str, operation: str) -> None:
    """A part, or what is only begun, is no list and no proof; nobody knows whether an effect took place."""
    for status in {201, 202, 203, 204, 205, 206, 207, 226, 299} - YES.get(operation, set()):
        with facing(kind, reply(status, minted(kind) if operation == "create" else [wire_token(kind)])) as (_, issuer):
            expected = unknown(operation) if operation in EFFECTS else IssuerRefusedError
            assert (status, ending(issuer, operation)) == (status, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_list_that_came_with_an_error_is_no_list(kind: str) -> None:
    """What is there beside an error may be a part: of the rest nothing would be known any more."""
    tokens = [wire_token(kind)]
    with facing(kind, reply(200, {"tokens": tokens, "errors": [{"message": "no"}]})) as (_, issuer):
        assert ending(issuer, "list") is IssuerRefusedError
    with facing(kind, reply(200, {"tokens": tokens, "errors": []})) as (_, issuer):
        assert ending(issuer, "list") is None


def test_proof_is_of_the_token_that_was_asked_for() -> None:
    """Another token that is shown in its place says nothing about it."""
    with facing(KINDS[1], reply(200, wire_token(KINDS[1], id="8"))) as (_, issuer):
        assert ending(issuer, "prove") is IssuerRefusedError


LOST: dict[str, object] = {
    "no string": {"accessToken": None, "token": None},
    "an empty string": {"accessToken": "", "token": ""},
    "a masked string": {"accessToken": "redacted", "token": "redacted"},
    "a string that no header can carry": {"accessToken": "a b\n" * 10, "token": "a b\n" * 10},
    "no id": {"id": None},
    "an id that is none": {"id": [7]},
    "two strings": {"accessToken": STRING, "token": STRING + "x"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", LOST)
def test_created_token_that_cannot_be_had(kind: str, how: str) -> None:
    """A create that tells no string, or no id, has made a token that nobody has; keys are named, no values."""
    changes = LOST[how]
    assert isinstance(changes, dict)
    with facing(kind, reply(200, minted(kind, **changes))) as (server, issuer):
        with pytest.raises(TokenUnreadableError) as caught:
            issuer.create(a_request())
        assert len(server.asked) == 1
    assert STRING not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_yes_to_a_revocation_needs_no_body(kind: str) -> None:
    """What a revocation is answered with besides its status does not matter."""
    for body in BODIES.values():
        with facing(kind, body) as (_, issuer):
            assert ending(issuer, "revoke") is None


def test_message_names_keys_and_content_type_alone() -> None:
    """Of an answer that is not understood it is told what it is, not what it says."""
    with facing(KINDS[0], BODIES["a page"]) as (_, issuer), pytest.raises(IssuerRefusedError) as caught:
        issuer.list()
    assert "text/html" in str(caught.value)
    assert "is the address right?" in str(caught.value)
    assert "Welcome" not in str(caught.value)
    with facing(KINDS[1], BODIES["an error"]) as (_, issuer), pytest.raises(TokenUnreadableError) as unread:
        issuer.create(a_request())
    assert "keys seen: code, message" in str(unread.value)


def test_page_of_html_is_not_told() -> None:
    """An error page of a proxy is no message."""
    with (
        facing(KINDS[0], reply(502, HTML, content_type="text/html")) as (_, issuer),
        pytest.raises(IssuerUnavailableError, match=r"answered 502$"),
    ):
        issuer.list()


# --- connections --------------------------------------------------------------------------------------

CUT: dict[str, bytes] = {
    "shorter than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]",
    "in the midst of a piece": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n[]",
    "before its last piece": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
    "with a piece of no length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n[]",
}
BROKEN: dict[str, bytes] = {
    "at once": b"",
    "in its first line": b"HTTP/1.1 20",
    "in its headers": b"HTTP/1.1 200 OK\r\nContent-Len",
    "for no HTTP": b"220 mail.example ESMTP\r\n",
    "for a header that is none": b"HTTP/1.1 200 OK\r\n\x00: \x00\r\n\r\n",
    "for headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000,
    "for two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n[]",
}


@pytest.mark.parametrize(("kind", "operation"), EVERY)
@pytest.mark.parametrize("where", BROKEN)
def test_answer_that_ends_before_its_body(kind: str, operation: str, where: str) -> None:
    """Closed before an answer, within its head, or no HTTP: nobody knows what was done, and nothing is repeated."""
    with facing(kind, Reply(pieces=[BROKEN[where]], close=True)) as (server, issuer):
        assert ending(issuer, operation) is unknown(operation)
        looks = (kind, operation) == ("influxdb-management-api", "revoke")
        assert len(server.asked) == (2 if looks else 1)


@pytest.mark.parametrize(("kind", "operation"), EVERY)
@pytest.mark.parametrize("where", CUT)
def test_answer_whose_body_is_cut(kind: str, operation: str, where: str) -> None:
    """The status has been read: a create has made a token, a revocation has taken place, a list is no shorter list."""
    with facing(kind, Reply(pieces=[CUT[where]], close=True)) as (server, issuer):
        by_operation = {"create": TokenUnreadableError, "revoke": None, "amend": None}
        assert ending(issuer, operation) is by_operation.get(operation, IssuerUnavailableError)
        assert len(server.asked) == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
SLOW: dict[str, Reply] = {
    "no answer": Reply(hang=True),
    "a head by drips": Reply(pieces=[bytes([one]) for one in HEAD * 100], pause=0.01),
    "head, then nothing": Reply(pieces=[HEAD], hang=True),
    "a body by drips": Reply(pieces=[HEAD, *[b" "] * 100_000], pause=0.01),
}


@pytest.mark.parametrize(
    ("kind", "operation"), [one for one in EVERY if one[1] in {"list", "create", "prove", "amend"}]
)
@pytest.mark.parametrize("how", SLOW)
def test_answer_that_does_not_end(kind: str, operation: str, how: str) -> None:
    """One deadline is for all of a request: a server that drips does not hang us."""
    body = {"create": TokenUnreadableError, "amend": None}.get(operation, IssuerUnavailableError)
    expected = body if "head, then" in how or "body" in how else unknown(operation)
    with facing(kind, SLOW[how], timeout=SHORT) as (server, issuer):
        clock = SystemClock()
        began = clock.monotonic()
        assert ending(issuer, operation) is expected
        assert clock.monotonic() - began < LONG
        assert len(server.asked) == 1


@pytest.mark.parametrize(("kind", "operation"), EVERY)
def test_nobody_listens(kind: str, operation: str) -> None:
    """What could not be sent has surely had no effect."""
    with ScriptedServer(well(kind)) as server:
        address = server.url
    with closing(an_issuer(kind, address)) as issuer:
        assert ending(issuer, operation) is IssuerUnavailableError


@pytest.mark.parametrize("address", ["http://no.such.host.invalid", f"http://{'a' * 70}.invalid"])
def test_name_that_is_no_hosts(address: str) -> None:
    """A name that cannot be looked up is told as such."""
    with (
        closing(an_issuer(KINDS[0], address)) as issuer,
        pytest.raises(IssuerUnavailableError, match="cannot be reached"),
    ):
        issuer.create(a_request())


@pytest.mark.parametrize("address", ["https://[host", "https://host:port", "http://host:99999"])
def test_address_that_is_none(address: str) -> None:
    """It is refused when the issuer is made."""
    with pytest.raises(ConfigurationError, match=r"^issuers\.site\.url is no address .* https://HOST:PORT"):
        an_issuer(KINDS[0], address)
    with pytest.raises(ConfigurationError, match=r"^issuers\.site\.query_url is no address"):
        an_issuer(KINDS[1], "https://host", query_url=address)


def test_stale_connection_is_not_used() -> None:
    """A connection that the server has closed meanwhile is opened anew: the create on it is not lost."""
    good = well(KINDS[0])

    def answer(asked: Asked) -> Reply:
        said = good(asked)
        return Reply(pieces=said.pieces, close=True)

    with ScriptedServer(answer) as server, closing(an_issuer(KINDS[0], server.url)) as issuer:
        for number in range(1, 6):
            issuer.list()
            assert server.closed(number * 2 - 1)
            assert issuer.create(a_request()).token_id == "7"
            assert server.closed(number * 2)


# --- sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("says_so", [True, False])
def test_body_that_is_too_large(
    kind: str,
    says_so: bool,  # noqa: FBT001  # a table's column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A body without end is not read to its end; one that says its length is not begun."""
    monkeypatch.setattr(http_answer, "LARGEST_BODY", 1_000_000)
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    huge = Reply(pieces=[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[piece] * 1000], close=True)
    told = Reply(pieces=[b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n"], hang=True)
    with facing(kind, told if says_so else huge) as (_, issuer):
        with pytest.raises(IssuerRefusedError, match="larger than 64 MiB"):
            issuer.list()
        assert ending(issuer, "create") is TokenUnreadableError


def test_largest_body_is_large_enough() -> None:
    """A list of a hundred thousand tokens is no attack."""
    assert http_answer.LARGEST_BODY == 64 * 1024 * 1024
