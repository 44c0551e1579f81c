"""A token that is used at the management API is repeated by nobody, whatever the server or the network does with it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

import pytest

from provisioner.domain.errors import IssuerRefusedError, IssuerUnavailableError, ProvisionerError
from provisioner.domain.secret import SecretText
from provisioner.issuers.management_proof import ManagementProof
from provisioner.runtime.clock import SystemClock
from tests.answering import answering
from tests.leaks.search import PLAIN, SECRETS, assert_untold, everything_about, secret_of

TIMEOUT = timedelta(seconds=2)


@contextmanager
def echoing(status: int | None, asked: list[str]) -> Iterator[str]:
    """Serve an API that repeats the credential in body, reason, header and redirect; or cuts every connection."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            credential = self.headers["Authorization"]
            asked.append(credential)
            self.close_connection = True
            if status is None:
                return
            self.send_response(status, f"no {credential}")
            self.send_header("Location", f"/elsewhere?{credential}")
            self.send_header("Content-Length", str(len(credential)))
            self.end_headers()
            self.wfile.write(credential.encode())

    with answering(Echo) as url:
        yield url


def a_proof(address: str) -> ManagementProof:
    """Give what uses tokens at that address."""
    return ManagementProof(address, issuer="cluster", timeout=TIMEOUT, ca_cert=None, clock=SystemClock())


def ending(address: str, token: SecretText) -> ProvisionerError:
    """Use the token in vain; give the error."""
    with closing(a_proof(address)) as proof:
        with pytest.raises(ProvisionerError) as caught:
            proof.works(token)
        return caught.value


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("status", [302, 307, 400, 500, 503, None])
def test_server_that_repeats_the_credential(status: int | None, kind: str) -> None:
    """A redirect, a failure that quotes the header, a broken connection: the credential comes not back."""
    asked: list[str] = []
    with echoing(status, asked) as address:
        error = ending(address, secret_of(SECRETS[kind]))
    assert asked == [f"Bearer {SECRETS[kind]}"]
    expected = IssuerRefusedError if status in {302, 307, 400} else IssuerUnavailableError
    assert type(error) is expected
    assert_untold(SECRETS[kind], everything_about(error))


@pytest.mark.parametrize("kind", SECRETS)
def test_no_connection_and_no_tls(kind: str) -> None:
    """Nobody there, or somebody who speaks no TLS: nothing of the request hangs on the error."""
    with echoing(200, []) as address:
        errors = [ending(address.replace("http:", "https:"), secret_of(SECRETS[kind]))]
    errors.append(ending("http://127.0.0.1:9", secret_of(SECRETS[kind])))
    for error in errors:
        assert (error.__cause__, error.__context__) == (None, None)
        assert_untold(SECRETS[kind], everything_about(error))


@pytest.mark.parametrize("odd", ["\n", "\r\nX-Other: 1", "\x00", "\x7f", "é", "\ud800", " "])
def test_token_that_no_header_can_carry(odd: str) -> None:
    """What somebody's editor made of a token is refused without being sent: httpx would repeat it in its error."""
    asked: list[str] = []
    with (
        echoing(200, asked) as address,
        closing(a_proof(address)) as proof,
    ):
        assert not proof.works(secret_of(f"{PLAIN}{odd}"))
        assert proof.works(secret_of(PLAIN))
    assert asked == [f"Bearer {PLAIN}"]
