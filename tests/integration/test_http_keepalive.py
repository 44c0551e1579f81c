"""Connections that are used again by the issuers that speak HTTP: nothing of one request gets into the next."""

from contextlib import closing, nullcontext
from http import HTTPStatus
from typing import Any

import pytest

from provisioner.domain.errors import IssuerRefusedError, OutcomeUnknownError
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, reply
from tests.http_issuers import KINDS, OPERATIONS, STRING, a_request, a_target, an_issuer, minted, well


def a_new_token(kind: str, number: int) -> Reply:
    """Answer a create with a token of its own."""
    changes: dict[str, Any] = {"token" if kind == "influxdb3" else "accessToken": f"{STRING}{number}"}
    return reply(200, minted(kind, id=str(number), **changes))


@pytest.mark.parametrize("kind", KINDS)
def test_answer_that_comes_twice_is_the_answer_of_one_request(kind: str) -> None:
    """What is left over of an answer is not taken for the next one: two names would share one token."""

    def answer(_: Asked) -> Reply:
        number = len(server.asked)
        said = a_new_token(kind, number)
        return Reply(pieces=[said.pieces[0] * 2]) if number == 1 else said

    with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url)) as issuer:
        assert issuer.create(a_request()).token_id == "1"
        with pytest.raises(OutcomeUnknownError, match="broke"):
            issuer.create(a_request())
        assert issuer.create(a_request()).token_id == "3"
        assert len(server.asked) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_cookies_are_not_kept(kind: str) -> None:
    """A session that began with one token is not sent along with another: it would prove what does not work."""

    def answer(asked: Asked) -> Reply:
        head = well(kind)(asked).pieces[0]
        return Reply(pieces=[head.replace(b"\r\n", b"\r\nSet-Cookie: session=admin; Path=/\r\n", 1)])

    with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url)) as issuer:
        for operation in ("list", "prove", "list"):
            OPERATIONS[operation](issuer)
        assert len(server.asked) == 3
        assert [asked.headers for asked in server.asked if "cookie" in asked.headers] == []


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("kind", KINDS)
def test_body_where_there_is_none_is_not_the_beginning_of_the_next_answer(kind: str, status: int) -> None:
    """The connection is not used again: nothing of it is taken for an answer, and the next request does not fail."""
    good, stray = well(kind), a_new_token(kind, 7)

    def answer(asked: Asked) -> Reply:
        if asked.method != "DELETE":
            return good(asked)
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(stray.pieces[0])}\r\n\r\n".encode()
        return Reply(pieces=[head + stray.pieces[0]])

    with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url)) as issuer:
        refused = pytest.raises(IssuerRefusedError) if status == HTTPStatus.NOT_MODIFIED else nullcontext()
        with refused:
            issuer.revoke(a_target())
        assert issuer.create(a_request()).token.reveal() == STRING
        issuer.list()
        assert (len(server.asked), server.connections) == (3, 2)
