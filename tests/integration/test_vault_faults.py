"""The Vault store and a server that answers as it is told: which failure leaves what known, and what is never told."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from provisioner.domain.errors import (
    ConflictError,
    OutcomeUnknownError,
    ProvisionerError,
    StoreRefusedError,
    StoreUnavailableError,
)
from provisioner.domain.model import Destination, Record
from provisioner.domain.secret import SecretText
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import AppRoleLogin, TokenLogin, VaultLogin
from tests.builders import OWNER, a_record
from tests.fakes.clock import FakeClock
from tests.fakes.vault_server import Answer, Told, a_server
from tests.vault import everything_told

CLIENT_TOKEN = "c0ffee-client-token"
STORED_TOKEN = "plain words of a token"
SECRET_ID = "5e7a2f3e-secret-id"


@pytest.fixture
def server() -> Iterator[Told]:
    """Give a server that answers as it is told."""
    with a_server() as told:
        yield told


@contextmanager
def a_store(server: Told, *answers: Answer, login: VaultLogin | None = None) -> Iterator[VaultStore]:
    """Give a store on a server that answers so."""
    server.answers = list(answers)
    store = VaultStore(
        name="vault",
        address=server.address,
        mount="secret",
        login=login or TokenLogin(token=lambda: SecretText(CLIENT_TOKEN)),
        clock=FakeClock(),
        timeout=timedelta(seconds=0.3),
    )
    with closing(store):
        yield store


def a_telling_record() -> Record:
    """Give a record whose token looks like no token at all."""
    return a_record(token=SecretText(STORED_TOKEN))


def errors(*lines: str) -> str:
    """Spell an error as Vault does."""
    return json.dumps({"errors": lines})


MISMATCH = "check-and-set parameter did not match the current version"
MAY_HAVE_LANDED = {
    "internal error": Answer(status=500, body=errors("failed to persist")),
    "bad gateway": Answer(status=502, body="<html>", kind="text/html"),
    "unavailable, and not because it is sealed": Answer(status=503, body="<html>", kind="text/html"),
    "gateway time-out": Answer(status=504, body="<html>", kind="text/html"),
    "no answer in time": Answer(hangs=True),
    "connection cut": Answer(),
    "nonsense": Answer(garbles=True),
    "a page instead of JSON": Answer(status=200, body="<html>", kind="text/html"),
    "half a JSON": Answer(status=200, body='{"data": {"vers'),
    "JSON of another shape": Answer(status=200, body='{"data": {}}'),
    "no content, as version 1 answers": Answer(status=204),
    "an error that is a JSON list": Answer(status=500, body="[]"),
}
SURELY_NOT_WRITTEN = {
    "sealed": (Answer(status=503, body=errors("Vault is sealed")), StoreUnavailableError),
    "rate limit": (Answer(status=429, body=errors("rate limit quota exceeded")), StoreUnavailableError),
    "not initialized": (Answer(status=501, body=errors("not initialized")), StoreUnavailableError),
    "redirect": (Answer(status=307, location="http://127.0.0.1:9/v1/x"), StoreUnavailableError),
    "mount being upgraded": (
        Answer(status=400, body=errors("Upgrading from non-versioned to versioned data.")),
        StoreUnavailableError,
    ),
    "check-and-set mismatch": (Answer(status=400, body=errors(MISMATCH)), ConflictError),
    "value refused": (Answer(status=400, body=errors("no")), StoreRefusedError),
    "no such mount": (Answer(status=404, body=errors("no handler for route")), StoreRefusedError),
    "denied": (Answer(status=403, body=errors("permission denied")), StoreRefusedError),
}


@pytest.mark.parametrize("what", MAY_HAVE_LANDED)
def test_write_that_may_have_landed(server: Told, place: Destination, what: str) -> None:
    """Whatever leaves it open whether the write landed is an unknown outcome, and is sent once."""
    with a_store(server, MAY_HAVE_LANDED[what]) as store, pytest.raises(OutcomeUnknownError, match="writing vault:it/"):
        store.write(place, OWNER, a_record(), "0")
    assert server.count("POST /v1/secret/data/") == 1


@pytest.mark.parametrize("what", SURELY_NOT_WRITTEN)
def test_write_that_surely_did_not_land(server: Told, place: Destination, what: str) -> None:
    """An answer that excludes a write is said to, so that nothing waits for it."""
    answer, error = SURELY_NOT_WRITTEN[what]
    with a_store(server, answer) as store, pytest.raises(ProvisionerError) as caught:
        store.write(place, OWNER, a_record(), "0")
    assert type(caught.value) is error
    assert server.count("POST /v1/secret/data/") == (2 if what == "denied" else 1)


@pytest.mark.parametrize("what", MAY_HAVE_LANDED)
def test_read_without_an_answer_is_unavailable(server: Told, place: Destination, what: str) -> None:
    """A read that was not answered by Vault says nothing about the secret."""
    with a_store(server, MAY_HAVE_LANDED[what]) as store, pytest.raises(StoreUnavailableError):
        store.read(place, OWNER)
    assert server.count("GET /v1/secret/data/") == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404, body="<html>", kind="text/html"),
        Answer(status=404, body='{"message": "no such service"}'),
        Answer(status=404),
    ],
    ids=["page", "JSON of a gateway", "nothing"],
)
def test_somebody_elses_404_is_not_absence(server: Told, place: Destination, answer: Answer) -> None:
    """A gateway that has lost its way to Vault must not look like «nothing is stored»: that would mint."""
    with a_store(server, answer) as store, pytest.raises(StoreUnavailableError, match="really Vault or OpenBao"):
        store.read(place, OWNER)


CALLS: dict[str, Callable[[VaultStore, Destination], object]] = {
    "read": lambda store, place: store.read(place, OWNER),
    "write": lambda store, place: store.write(place, OWNER, a_telling_record(), "0"),
    "preflight": lambda store, place: store.preflight(place),
    "check": lambda store, place: store.check([(place, OWNER)]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Told, place: Destination, call: str, status: int) -> None:
    """The credential goes to no other host, whoever sends us there; the message says what to do."""
    with a_server() as elsewhere:
        elsewhere.answers = [Answer(status=200, body="{}")]
        with (
            a_store(server, Answer(status=status, location=f"{elsewhere.address}/v1/x")) as store,
            pytest.raises(StoreUnavailableError, match="sends us to another server"),
        ):
            CALLS[call](store, place)
        assert elsewhere.requests == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_what_a_server_repeats_is_not_told(server: Told, place: Destination, call: str, status: int) -> None:
    """A server that repeats what it was sent tells nothing through us, nor through an error behind ours."""
    with a_store(server, Answer(status=status, echoes=True)) as store, pytest.raises(ProvisionerError) as caught:
        CALLS[call](store, place)
    told = everything_told(caught.value)
    assert "[redacted]" in told
    assert CLIENT_TOKEN not in told
    assert STORED_TOKEN not in told


def test_credentials_of_a_login_are_not_told(server: Told, place: Destination) -> None:
    """A login that a server refuses by repeating it tells no credential."""
    login = AppRoleLogin(role_id=lambda: SecretText("role-of-ours"), secret_id=lambda: SecretText(SECRET_ID))
    with (
        a_store(server, Answer(status=400, echoes=True), login=login) as store,
        pytest.raises(StoreRefusedError, match="check the auth method, its mount and the credentials") as caught,
    ):
        store.read(place, OWNER)
    told = everything_told(caught.value)
    assert "[redacted]" in told
    assert SECRET_ID not in told
    assert "role-of-ours" not in told


@pytest.mark.parametrize("answer", [Answer(hangs=True), Answer(), Answer(status=500)], ids=["hang", "cut", "500"])
def test_no_foreign_error_hangs_on_ours(server: Told, place: Destination, answer: Answer) -> None:
    """A foreign error holds the request with its credential: it is neither cause nor context of ours."""
    with a_store(server, answer) as store, pytest.raises(OutcomeUnknownError) as caught:
        store.write(place, OWNER, a_record(), "0")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_environment_does_not_get_in(server: Told, place: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a token, an address nor a proxy of the environment is used."""
    with a_server() as elsewhere:
        elsewhere.answers = [Answer(status=404, body=errors())]
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "VAULT_ADDR"):
            monkeypatch.setenv(name, elsewhere.address)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("VAULT_TOKEN", "of-somebody-else")
        login = AppRoleLogin(role_id=lambda: SecretText("r"), secret_id=lambda: SecretText("s"))
        answer = Answer(status=400, body=errors("no"))
        with a_store(server, answer, login=login) as store, pytest.raises(StoreRefusedError):
            store.read(place, OWNER)
        assert server.requests == ["POST /v1/auth/approle/login"]
        assert server.tokens == [None]
        assert elsewhere.requests == []


def test_leaving_does_not_wait_for_a_dead_server(server: Told) -> None:
    """A client token that cannot be revoked is left to its lease."""
    login = AppRoleLogin(role_id=lambda: SecretText("r"), secret_id=lambda: SecretText("s"))
    granted = Answer(status=200, body='{"auth": {"client_token": "t", "lease_duration": 60, "renewable": true}}')
    with a_store(server, granted, Answer(hangs=True), login=login) as store:
        store._client_token.current()
    assert server.requests == ["POST /v1/auth/approle/login", "POST /v1/auth/token/revoke-self"]
