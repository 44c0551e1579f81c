"""Connections that are used again by the issuers that speak HTTP: nothing of one request gets into the next."""

from contextlib import closing
from typing import Any

import pytest

from provisioner.domain.errors import OutcomeUnknownError
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, reply
from tests.http_issuers import KINDS, STRING, a_request, an_issuer, minted


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
