"""Connections that are used again by the issuers that speak HTTP: nothing of one request gets into the next."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from http import HTTPStatus
from typing import Any

import pytest

from provisioner.domain.errors import IssuerRefusedError, OutcomeUnknownError
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, reply
from tests.http_issuers import KINDS, OPERATIONS, STRING, a_request, a_target, an_issuer, minted, well

THREADS, ROUNDS = 8, 60


@contextmanager
def threads_in_each_others_way() -> Iterator[None]:
    """Let threads take turns after every few steps, as they do on a busy machine."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


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
        assert issuer.create(a_request()).token_id in {"2", "3"}  # the server may not have read what broke


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


def test_threads_do_not_take_connections_from_each_other() -> None:
    """One that is closed after an answer without a body is given to nobody, nor is one closed that somebody has got."""

    def ask(_: int) -> None:
        issuer.revoke(a_target())
        issuer.list()

    kind = "influxdb-management-api"
    with (
        ScriptedServer(well(kind)) as server,
        closing(an_issuer(kind, server.url)) as issuer,
        ThreadPoolExecutor(THREADS) as threads,
        threads_in_each_others_way(),
    ):
        list(threads.map(ask, range(THREADS * ROUNDS)))
        assert len(server.asked) == 2 * THREADS * ROUNDS
