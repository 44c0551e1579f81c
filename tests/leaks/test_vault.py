"""A store that repeats what it was sent, or breaks in the midst of it, tells nothing of it through us."""

import base64
import json
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import pytest

from provisioner.domain.errors import OutcomeUnknownError, ProvisionerError
from provisioner.domain.model import Destination
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import AppRoleLogin, JwtLogin, TokenLogin, VaultLogin
from tests.builders import OWNER, a_record
from tests.fakes.clock import FakeClock
from tests.fakes.vault_server import Answer, Told, a_server
from tests.leaks.search import PATTERNED, PLAIN, SECRETS, assert_untold, everything_about, secret_of

CLIENT_TOKEN, SHORT_TOKEN = "zq8-client-4d1f6g9h2j5k8l0", 'two words, "a" \\ and é'
ECHOES = {
    "400": Answer(status=400, echoes=True),
    "403": Answer(status=403, echoes=True),
    "404": Answer(status=404, echoes=True),
    "500": Answer(status=500, echoes=True),
    "503": Answer(status=503, echoes=True),
    "cut": Answer(),
    "no answer": Answer(hangs=True),
    "nonsense": Answer(garbles=True),
}


def ending(login: VaultLogin, call: Callable[[VaultStore], object], *answers: Answer) -> tuple[ProvisionerError, Told]:
    """Make a call in vain; give the error, and what the server got."""
    with a_server() as told:
        told.answers = list(answers)
        store = VaultStore(
            name="vault",
            address=told.address,
            mount="secret",
            login=login,
            clock=FakeClock(),
            timeout=timedelta(seconds=0.3),
        )
        with closing(store), pytest.raises(ProvisionerError) as caught:
            call(store)
        return caught.value, told


def writing(place: Destination, token: str) -> Callable[[VaultStore], object]:
    """Give a write of a record with that token."""
    record = a_record(token=secret_of(token))
    return lambda store: store.write(place, OWNER, record, "0")


TOKEN_LOGIN = TokenLogin(token=lambda: secret_of(CLIENT_TOKEN))


@pytest.mark.parametrize("answer", ECHOES)
@pytest.mark.parametrize("token", [*SECRETS.values(), SHORT_TOKEN], ids=[*SECRETS, "one that JSON escapes"])
def test_write_that_is_repeated_or_broken(place: Destination, answer: str, token: str) -> None:
    """Neither the token nor our own client token is in the error, in what hangs on it, or in the frames it came by."""
    error, server = ending(TOKEN_LOGIN, writing(place, token), ECHOES[answer])
    told = everything_about(error)
    assert server.tokens[-1] == CLIENT_TOKEN
    for secret in (token, json.dumps(token)[1:-1], CLIENT_TOKEN):
        assert_untold(secret, told)
    assert ("[redacted]" in told) == ECHOES[answer].echoes


ODD_BODIES = ('{{"errors": ["{0}"]}}', '{{"data": {{"data": "{0}"}}}}', "{0}", '["{0}"]', '{{"{0}":')


@pytest.mark.parametrize("body", ODD_BODIES)
@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_read_whose_answer_is_odd(place: Destination, body: str, status: int) -> None:
    """What is stored, and what we cannot know as we read it, is not quoted from an answer that is not understood."""
    stored = base64.b32encode(PLAIN.encode()).decode().strip("=")
    answer = Answer(status=status, body=body.format(stored))
    error, _ = ending(TOKEN_LOGIN, lambda store: store.read(place, OWNER), answer)
    for secret in (stored, CLIENT_TOKEN):
        assert_untold(secret, everything_about(error))


JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ6cTcifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ"
LOGINS: dict[str, tuple[VaultLogin, tuple[str, ...]]] = {
    "approle": (
        AppRoleLogin(role_id=lambda: secret_of("role-id-of-ours"), secret_id=lambda: secret_of(PLAIN)),
        ("role-id-of-ours", PLAIN),
    ),
    "short secret id": (
        AppRoleLogin(role_id=lambda: secret_of("role-id-of-ours"), secret_id=lambda: secret_of("in six words")),
        ("role-id-of-ours", "in six words"),
    ),
    "jwt": (JwtLogin(role="prov", jwt=lambda: secret_of(JWT), mount="jwt"), (JWT,)),
    "a jwt that is none": (JwtLogin(role="prov", jwt=lambda: secret_of(PATTERNED), mount="jwt"), (PATTERNED,)),
}


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("answer", ["400", "403", "500", "cut"])
def test_login_that_is_repeated_or_broken(place: Destination, login: str, answer: str) -> None:
    """No credential of a login is told, whatever comes of it; the role is no secret."""
    way, secrets = LOGINS[login]
    error, server = ending(way, lambda store: store.read(place, OWNER), ECHOES[answer])
    assert server.count("POST /v1/auth/") >= 1
    for secret in secrets:
        assert_untold(secret, everything_about(error))


@pytest.mark.parametrize("odd", ["\n", "\r\nX-Other: 1", "é€"])
def test_client_token_that_no_header_can_carry(place: Destination, odd: str) -> None:
    """A client token that somebody's editor has spoilt is not repeated by the library that refuses to send it."""
    login = TokenLogin(token=lambda: secret_of(f"{CLIENT_TOKEN}{odd}{CLIENT_TOKEN}"))
    error, server = ending(login, lambda store: store.read(place, OWNER), ECHOES["500"])
    assert_untold(CLIENT_TOKEN, everything_about(error))
    assert not [token for token in server.tokens if token is not None]


def test_granted_client_token_that_is_refused(place: Destination) -> None:
    """A client token that a login has just given is as secret as one that we were given."""
    granted = Answer(status=200, body=json.dumps({"auth": {"client_token": PLAIN, "lease_duration": 60}}))
    login = AppRoleLogin(role_id=lambda: secret_of("r"), secret_id=lambda: secret_of("s"))
    error, server = ending(login, writing(place, SHORT_TOKEN), granted, ECHOES["500"])
    assert PLAIN in server.tokens
    assert type(error) is OutcomeUnknownError
    assert_untold(PLAIN, everything_about(error))
