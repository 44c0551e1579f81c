"""Both issuers that speak HTTP, and what stands around them: redirects, pauses, TLS, dates, addresses."""

import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from provisioner.domain.errors import (
    ConfigurationError,
    IssuerRefusedError,
    IssuerUnavailableError,
)
from tests.builders import MINUTE, NOW, SECOND
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_server import Reply, ScriptedServer, always, reply
from tests.http_issuers import (
    EVERY,
    KINDS,
    OPERATIONS,
    SHORT,
    a_request,
    an_issuer,
    ending,
    facing,
    well,
    wire_token,
)

# --- redirects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "operation"), EVERY)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_no_credential_follows_a_redirect(kind: str, operation: str, status: int) -> None:
    """Whoever a redirect points to is asked nothing: that is refused, naming the host and the remedy."""
    with ScriptedServer(well(kind)) as other:
        away = reply(status, "", location=f"{other.url}/tokens?secret=1")
        with facing(kind, away) as (server, issuer):
            with pytest.raises(IssuerRefusedError, match=r"elsewhere to 127\.0\.0\.1 .* the final address") as caught:
                OPERATIONS[operation](issuer)
            assert len(server.asked) == 1
        assert (other.asked, other.connections) == ([], 0)
    assert "secret" not in str(caught.value)


# --- pauses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [429, 503, 500, 404])
@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("7", 7 * SECOND),
        ("Mon, 01 Jun 2026 12:00:20 GMT", 20 * SECOND),
        ("86400", 15 * MINUTE),
        ("9" * 5000, 15 * MINUTE),
        ("Tue, 02 Jun 2026 12:00:00 GMT", 15 * MINUTE),
    ],
)
def test_pause_that_was_asked_for_is_kept(kind: str, status: int, header: str, pause: timedelta) -> None:
    """Until then nothing is sent to that server, by no operation; it is told until when; then all goes on."""
    clock = FakeClock()
    with ScriptedServer(well(kind)) as server, closing(an_issuer(kind, server.url, clock=clock)) as issuer:
        server.answer = lambda _: reply(status, "not now", retry_after=header)
        assert ending(issuer, "list") is not None
        server.answer = well(kind)
        clock.advance(pause - SECOND)
        until = (NOW + pause).strftime("%H:%M:%SZ")
        for operation in OPERATIONS if kind == KINDS[1] else [one for one in OPERATIONS if one != "amend"]:
            with pytest.raises(IssuerUnavailableError, match=f"asked to be left alone until .*{until}"):
                OPERATIONS[operation](issuer)
        assert len(server.asked) == 1
        clock.advance(SECOND)
        issuer.list()
        assert len(server.asked) == 2


@pytest.mark.parametrize("header", ["0", "-5", "soon", "", "1.5", "Mon, 01 Jun 2026 11:00:00 GMT", "Mon, 99 Foo"])
def test_pause_that_is_none(header: str) -> None:
    """What asks for no pause, or in no words that are known, begins none."""
    with facing(KINDS[0], reply(503, "", retry_after=header)) as (server, issuer):
        assert ending(issuer, "list") is ending(issuer, "list") is IssuerUnavailableError
        assert len(server.asked) == 2


def test_moment_of_a_pause_is_by_the_servers_clock() -> None:
    """A server whose clock is an hour behind and asks for 10 seconds gets 10 seconds."""
    clock = FakeClock()
    behind = reply(503, "", date="Mon, 01 Jun 2026 11:00:00 GMT", retry_after="Mon, 01 Jun 2026 11:00:10 GMT")
    with (
        ScriptedServer(always(behind)) as server,
        closing(an_issuer(KINDS[0], server.url, clock=clock)) as issuer,
    ):
        ending(issuer, "list")
        with pytest.raises(IssuerUnavailableError, match="12:00:10Z"):
            issuer.list()


# --- TLS ----------------------------------------------------------------------------------------------


def serving_as(authority: trustme.CA, host: str) -> ssl.SSLContext:
    """Give a server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


@pytest.mark.parametrize("kind", KINDS)
def test_certificate_is_checked(kind: str, tmp_path: Path) -> None:
    """By an unknown CA, or for another host, nothing is sent: ca_cert is the remedy, and with it all is well."""
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with ScriptedServer(well(kind), tls=serving_as(authority, "127.0.0.1")) as server:
        for operation in ("list", "create", "prove"):
            with (
                closing(an_issuer(kind, server.url)) as stranger,
                pytest.raises(IssuerRefusedError, match=r"certificate of 127\.0\.0\.1:\d+ is not trusted .*ca_cert"),
            ):
                OPERATIONS[operation](stranger)
        assert server.asked == []
        with closing(an_issuer(kind, server.url, ca_cert=ca)) as issuer:
            assert issuer.list().tokens[0].token_id == "7"
            issuer.create(a_request())
    with (
        ScriptedServer(well(kind), tls=serving_as(authority, "elsewhere.example")) as other,
        closing(an_issuer(kind, other.url, ca_cert=ca)) as issuer,
    ):
        with pytest.raises(IssuerRefusedError, match="check the host in the address"):
            issuer.create(a_request())
        assert other.asked == []


def test_server_without_tls_and_tls_without_a_word() -> None:
    """Who speaks no TLS is surely sent nothing, nor is who does not answer a handshake."""
    with (
        ScriptedServer(lambda _: Reply(close=True)) as server,
        closing(an_issuer(KINDS[0], server.url.replace("http:", "https:"))) as issuer,
    ):
        assert ending(issuer, "create") is IssuerUnavailableError
        assert all(asked.token == "" for asked in server.asked)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with closing(an_issuer(KINDS[0], address, timeout=SHORT)) as issuer:
            assert ending(issuer, "create") is IssuerUnavailableError


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_ca_cert_that_cannot_be_used(content: str | None, tmp_path: Path) -> None:
    """It is refused when the issuer is made, by its name."""
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    with pytest.raises(ConfigurationError, match=r"ca_cert .*ca\.pem cannot be used"):
        an_issuer(KINDS[0], "https://127.0.0.1:9", ca_cert=ca)


# --- clocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "yesterday", "Mon, 01 Jun 2026", "Mon, 01 Jun 9999999 12:00:00 GMT"])
def test_date_that_is_none(header: str) -> None:
    """A Date that cannot be read says nothing."""
    with facing(KINDS[0], reply(200, [wire_token(KINDS[0])], date=header)) as (_, issuer):
        assert issuer.list().clock_skew == timedelta(0)


def test_times_at_the_end_of_the_calendar() -> None:
    """They are converted to themselves."""
    rows = [wire_token(KINDS[0], created_at="0001-01-02T00:00:00", expiry="9999-12-31T23:59:59")]
    with facing(KINDS[0], reply(200, rows, date="Mon, 01 Jan 2001 00:00:00 GMT")) as (_, issuer):
        (token,) = issuer.list().tokens
    assert token.expires_at == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
