"""What the HTTP issuers hold and are told is repeated by nobody, whatever the server or the network does with it."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import pytest

from provisioner.domain.errors import ProvisionerError
from provisioner.ports.issuer import Issuer
from tests.fakes.scripted_server import Reply, ScriptedServer, always, reply
from tests.http_issuers import EVERY, KINDS, OPERATIONS, PATIENCE, Given, a_request, an_issuer, minted
from tests.leaks.search import SECRETS, assert_untold, everything_about, secret_of

SHORT = timedelta(seconds=0.1)
"""A deadline that is to pass."""
NEVER_ENDS = {"slow", "no answer"}
Echo = Callable[[str], Reply]


def in_headers(status: int, secret: str) -> Reply:
    """Repeat a secret in every place that a head has."""
    line = f"HTTP/1.1 {status} no {secret}\r\nContent-Type: text/{secret}; x={secret}\r\nX-Token: {secret}\r\n"
    away = f"Location: https://{secret}.example/{secret}?token={secret}\r\nRetry-After: {secret}\r\nDate: {secret}\r\n"
    cookie = f"Set-Cookie: a={secret}\r\nContent-Length: 0\r\n\r\n"
    return Reply(pieces=[f"{line}{away}{cookie}".encode()])


ECHOES: dict[str, Echo] = {
    "refused in words": lambda secret: reply(400, f"no {secret} here: {secret}"),
    "refused in JSON": lambda secret: reply(418, {"code": 400, "message": f"no Bearer {secret}", secret: secret}),
    "refused as an error": lambda secret: reply(404, {"error": secret}),
    "not known": lambda secret: reply(401, {"error": f"token={secret}"}),
    "denied": lambda secret: reply(403, f"token '{secret}'"),
    "taken": lambda secret: reply(409, f"there is {secret}"),
    "no such route": lambda secret: reply(405, secret),
    "broken": lambda secret: reply(500, {"message": f"panic: {secret}"}),
    "a page": lambda secret: reply(502, f"<html>{secret}</html>"),
    "redirected": lambda secret: in_headers(307, secret),
    "denied in headers": lambda secret: in_headers(403, secret),
    "well in headers": lambda secret: in_headers(200, secret),
    "no JSON": lambda secret: reply(200, f"{secret} {{", content_type=f"text/{secret}"),
    "another shape": lambda secret: reply(200, {secret: {"accessToken": [secret]}, "token": [secret]}),
    "a text": lambda secret: reply(200, f'"{secret}"'),
    "a list of texts": lambda secret: reply(200, [secret]),
    "no id": lambda secret: reply(200, {"token": secret, "accessToken": secret, "description": secret}),
    "two strings": lambda secret: reply(200, {"id": 7, "token": secret, "accessToken": f"{secret}x"}),
    "an id that is none": lambda secret: reply(200, [{"id": [secret], "token": secret}]),
    "cut": lambda secret: Reply(
        pieces=[f"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{secret}".encode()], close=True
    ),
    "cut in JSON": lambda secret: reply(200, f'{{"id": "7", "accessToken": "{secret}'),
    "cut in the head": lambda secret: Reply(pieces=[f"HTTP/1.1 200 {secret}\r\nX: {secret}".encode()], close=True),
    "no HTTP": lambda secret: Reply(pieces=[f"{secret} {secret}\r\n\r\n".encode()], close=True),
    "a header that is none": lambda secret: Reply(
        pieces=[f"HTTP/1.1 200 OK\r\n{secret} {secret}\r\n\r\n".encode()], close=True
    ),
    "slow": lambda secret: Reply(
        pieces=[f"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{secret}".encode()], hang=True
    ),
    "no answer": lambda _: Reply(hang=True),
    "closed": lambda _: Reply(close=True),
}


def patience(how: str) -> timedelta:
    """Give the deadline for a fault."""
    return SHORT if how in NEVER_ENDS else PATIENCE


def endings(kind: str, operation: str, how: str, secret: str) -> list[ProvisionerError]:
    """Do it with the secret as credential, and as the token that is proven or tried; give the error, if any."""
    with (
        ScriptedServer(always(ECHOES[how](secret))) as server,
        closing(an_issuer(kind, server.url, credential=Given(((secret, None),)), timeout=patience(how))) as issuer,
    ):
        return [error for error in [ending(issuer, operation, secret)] if error is not None]


def ending(issuer: Issuer, operation: str, secret: str) -> ProvisionerError | None:
    """Give the error that an operation ends with."""
    calls: dict[str, Callable[[], object]] = {
        "prove": lambda: issuer.prove(secret_of(secret), "7"),
        "accepts": lambda: issuer.accepts(secret_of(secret)),
    }
    try:
        calls.get(operation, lambda: OPERATIONS[operation](issuer))()
    except ProvisionerError as error:
        return error
    return None


@pytest.mark.parametrize(("kind", "operation"), EVERY)
@pytest.mark.parametrize("how", ECHOES)
def test_server_that_repeats_the_credential(kind: str, operation: str, how: str) -> None:
    """Whatever repeats the credential, in whatever part of an answer: it is in no error, nor behind one."""
    told = 0
    for secret in SECRETS.values():
        for error in endings(kind, operation, how, secret):
            told += 1
            assert_untold(secret, everything_about(error))
    assert told in {0, len(SECRETS)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ECHOES)
def test_new_token_in_an_answer_that_is_refused(kind: str, how: str) -> None:
    """A token that we have never seen before, and know nothing of, is told as little."""
    for secret in SECRETS.values():
        with (
            ScriptedServer(always(ECHOES[how](secret))) as server,
            closing(an_issuer(kind, server.url, timeout=patience(how))) as issuer,
        ):
            with pytest.raises(ProvisionerError) as caught:
                issuer.create(a_request())
            assert_untold(secret, everything_about(caught.value))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_created_token_is_masked(kind: str, secret: str) -> None:
    """What a create gives, and what the issuer is, shows no string however it is printed."""
    key = "token" if kind == "influxdb3" else "accessToken"
    with (
        ScriptedServer(always(reply(200, minted(kind, **{key: secret})))) as server,
        closing(an_issuer(kind, server.url, credential=Given(((secret, None),)))) as issuer,
    ):
        created = issuer.create(a_request())
        assert created.token == secret_of(secret)
        assert_untold(secret, f"{created!r} {created} {issuer!r} {vars(issuer)!r}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_nothing_is_logged(kind: str, secret: str, logged: Callable[[], str]) -> None:
    """The libraries underneath log nothing of it either."""
    for how in ("refused in words", "redirected", "no HTTP", "well in headers"):
        for operation in ("list", "create", "prove"):
            endings(kind, operation, how, secret)
    assert_untold(secret, logged())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_nobody_there(kind: str, secret: str) -> None:
    """No server, or one that speaks no TLS: nothing of the request hangs on the error."""
    with ScriptedServer(always(Reply(close=True))) as server:
        addresses = ["http://127.0.0.1:9", server.url.replace("http:", "https:")]
        for address in addresses:
            with closing(an_issuer(kind, address, credential=Given(((secret, None),)))) as issuer:
                error = ending(issuer, "create", secret)
                assert error is not None
                assert_untold(secret, everything_about(error))
