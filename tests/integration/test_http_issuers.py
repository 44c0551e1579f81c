"""Both issuers that speak HTTP: what they send, how often and with what, and what they make of good answers."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner.domain.errors import (
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    ProvisionerError,
)
from provisioner.domain.model import Permission
from provisioner.domain.secret import SecretText
from provisioner.ports.issuer import Issuer
from tests.builders import DAY, NOW, SECOND, uid
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, reply
from tests.http_issuers import (
    AS_JSON,
    CREDENTIAL,
    EVERY,
    KINDS,
    MARK,
    OPERATIONS,
    PERMISSIONS,
    STRING,
    Given,
    a_request,
    a_target,
    an_issuer,
    minted,
    well,
    wire_token,
)

REQUESTS = {
    "influxdb3": {
        "list": [("GET", "/api/v3/query_sql")],
        "create": [("POST", "/api/v3/configure/token/named_admin")],
        "prove": [("GET", "/api/v3/query_sql")],
        "revoke": [("DELETE", "/api/v3/configure/token")],
        "accepts": [("GET", "/api/v3/query_sql"), ("DELETE", "/api/v3/configure/token")],
    },
    "influxdb-management-api": {
        "list": [("GET", "/tokens")],
        "create": [("POST", "/tokens")],
        "prove": [("GET", "/tokens/7")],
        "revoke": [("DELETE", "/tokens/7")],
        "amend": [("PATCH", "/tokens/7")],
        "accepts": [("GET", "/tokens"), ("DELETE", "/tokens/…")],
    },
}
THREADS = 8


@pytest.mark.parametrize(("kind", "operation"), EVERY)
def test_each_operation_makes_so_many_requests(kind: str, operation: str) -> None:
    """No operation asks more than it has to, and each goes to its one address with a credential."""
    with ScriptedServer(well(kind)) as server, closing(an_issuer(kind, server.url)) as issuer:
        OPERATIONS[operation](issuer)
        expected = REQUESTS[kind][operation]
        fresh = [(method, "/tokens/…" if len(path) > 40 else path) for method, path in server.asked_for]
    assert fresh == expected
    own = operation == "accepts" or (kind, operation) == ("influxdb3", "prove")
    assert {asked.token for asked in server.asked} == {STRING if own else CREDENTIAL}


@pytest.mark.parametrize("kind", KINDS)
def test_one_connection_serves_many_calls(kind: str) -> None:
    """Calls that follow on one another share a connection, and calls at once share the pool."""
    with ScriptedServer(well(kind)) as server, closing(an_issuer(kind, server.url)) as issuer:
        for _ in range(10):
            issuer.list()
        issuer.create(a_request())
        assert server.connections == 1
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda _: issuer.list(), range(40)))
        assert server.connections <= THREADS + 1
        assert len(server.asked) == 51


def test_influxdb3_asks_by_name_and_seconds() -> None:
    """The name that is asked for is the mark alone, and the expiry is the whole life in seconds."""
    with ScriptedServer(well("influxdb3")) as server, closing(an_issuer("influxdb3", server.url)) as issuer:
        created = issuer.create(a_request())
        issuer.revoke(a_target())
    assert server.asked[0].json == {"token_name": str(MARK), "expiry_secs": 86400}
    assert server.asked[0].headers["content-type"] == "application/json"
    assert server.asked[1].query == {"token_name": str(MARK)}
    assert created.token == SecretText(STRING)
    assert created.token_id == "7"
    assert created.created_at == datetime(2026, 6, 1, 12, 0, 0, 123000, UTC)
    assert created.expires_at == datetime(2026, 6, 2, 12, 0, 0, 123000, UTC)


def test_influxdb3_lists_what_it_shows() -> None:
    """Times without a zone are UTC, an absent or null expiry is none, and only a whole name that is a mark is ours."""
    rows = [
        wire_token("influxdb3", expiry="2026-06-02T12:00:00"),
        {"token_id": 0, "name": "_admin", "created_at": "2026-01-01T00:00:00", "expiry": None},
        {"token_id": 1, "name": f"Telegraf {MARK}"},
        {"token_id": 2, "name": f"{MARK} "},
    ]
    with (
        ScriptedServer(lambda _: reply(200, rows)) as server,
        closing(an_issuer("influxdb3", server.url, credential=Given(((CREDENTIAL, uid(3)),)))) as issuer,
    ):
        listing = issuer.list()
    ours, admin, described, spaced = listing.tokens
    assert (ours.token_id, ours.mark, ours.expires_at) == ("7", MARK, datetime(2026, 6, 2, 12, tzinfo=UTC))
    assert (admin.token_id, admin.mark, admin.expires_at) == ("0", None, None)
    assert (described.mark, spaced.mark) == (None, None)
    assert (listing.keeps_expired, listing.proves_by_use, listing.amends_permissions) == (True, True, False)
    assert listing.credential == uid(3)
    query = server.asked[0].query
    assert (query["db"], query["format"]) == ("_internal", "json")
    assert "system.tokens" in query["q"]
    assert "hash" not in query["q"]


def test_management_api_asks_with_permissions_and_expiry() -> None:
    """A create names description, permissions in a steady order, and the moment of expiry; nothing else."""
    kind = "influxdb-management-api"
    with ScriptedServer(well(kind)) as server, closing(an_issuer(kind, f"{server.url}/api/v0/")) as issuer:
        created = issuer.create(a_request())
    assert server.asked_for == [("POST", "/api/v0/tokens")]
    assert server.asked[0].json == {
        "description": f"Telegraf {MARK}",
        "permissions": AS_JSON,
        "expiresAt": "2026-06-02T12:00:00Z",
    }
    assert (created.token, created.expires_at) == (SecretText(STRING), NOW + DAY)
    assert created.created_at == datetime(2026, 6, 1, 12, 0, 0, 123456, UTC)


def test_management_api_lists_what_it_shows() -> None:
    """Ids are texts or numbers, times nanoseconds, permissions in any order and case; the rest is none."""
    kind = "influxdb-management-api"
    odd = [{"action": "grant", "resource": "x", "more": 1}, {"action": "Write", "resource": "mydb"}, *AS_JSON]
    rows: list[dict[str, Any]] = [
        wire_token(kind, revokedAt="2026-06-01T13:00:00.5Z"),
        {"id": 8, "description": "", "permissions": odd, "accountId": "a", "expiresAt": None},
        {"id": "9", "description": None, "permissions": ["read:mydb"]},
    ]
    with ScriptedServer(lambda _: reply(200, rows)) as server, closing(an_issuer(kind, server.url)) as issuer:
        listing = issuer.list()
    first, second, third = listing.tokens
    assert (first.mark, first.permissions) == (MARK, PERMISSIONS)
    assert first.revoked_at == datetime(2026, 6, 1, 13, 0, 0, 500000, UTC)
    assert (second.token_id, second.mark, second.expires_at) == ("8", None, None)
    assert second.permissions == PERMISSIONS | {Permission(action="grant", resource="x")}
    assert third.permissions is None
    assert (listing.keeps_expired, listing.proves_by_use, listing.amends_permissions) == (False, False, True)


# --- credentials --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(("kind", "operation"), [one for one in EVERY if one[1] in {"list", "create", "revoke"}])
def test_next_credential_is_tried_after_a_refusal(kind: str, operation: str, status: int) -> None:
    """A credential that nobody knows, or that may not do it, is followed by the next; it is sent once with each."""
    good = well(kind)
    given = Given((("old-one", uid(1)), ("new-one", uid(2)), ("never", None)))

    def answer(asked: Asked) -> Reply:
        return good(asked) if asked.token == "new-one" else reply(status, {"error": "no"})

    with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url, credential=given)) as issuer:
        listing = OPERATIONS[operation](issuer)
        assert [asked.token for asked in server.asked] == ["old-one", "new-one"]
    assert getattr(listing, "credential", uid(2)) == uid(2)


@pytest.mark.parametrize("kind", KINDS)
def test_no_credential_is_known(kind: str) -> None:
    """When all are refused, the last refusal is what is said; each was sent once."""
    with (
        ScriptedServer(lambda _: reply(401, "no")) as server,
        closing(an_issuer(kind, server.url, credential=Given((("one", None), ("two", None))))) as issuer,
    ):
        with pytest.raises(CredentialRefusedError, match=r"refuses the credential \(401\): no"):
            issuer.create(a_request())
        assert [asked.token for asked in server.asked] == ["one", "two"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", ["with space", "line\nbreak", "é", "\x00", "\ud800"])
def test_credential_that_no_request_can_carry(kind: str, odd: str) -> None:
    """It is refused without a request, and as a token it does not work."""
    credential = Given((("one" + odd, None),))
    with ScriptedServer(well(kind)) as server, closing(an_issuer(kind, server.url, credential=credential)) as issuer:
        with pytest.raises(CredentialRefusedError):
            issuer.create(a_request())
        assert not issuer.accepts(SecretText(odd))
        assert server.asked == []


# --- trying a credential ------------------------------------------------------------------------------

BOTH: list[tuple[int, int, object]] = [
    (200, 404, True),
    (401, 404, False),
    (403, 404, False),
    (200, 401, False),
    (200, 403, False),
    (500, 404, IssuerUnavailableError),
    (200, 500, IssuerUnavailableError),
    (404, 404, IssuerRefusedError),
    (200, 418, IssuerRefusedError),
]
TRIALS: list[tuple[str, int, int, object]] = [
    *((kind, *trial) for kind in KINDS for trial in BOTH),
    ("influxdb3", 200, 200, True),
    ("influxdb3", 200, 405, IssuerRefusedError),
    ("influxdb-management-api", 200, 204, True),
    ("influxdb-management-api", 200, 400, True),
]


@pytest.mark.parametrize(("kind", "listed", "deleted", "expected"), TRIALS)
def test_credential_is_tried(kind: str, listed: int, deleted: int, expected: object) -> None:
    """A token takes a credential's place when it lists, and may delete: what was never there, another each time."""

    def answer(asked: Asked) -> Reply:
        return reply(deleted) if asked.method == "DELETE" else reply(listed, [wire_token(kind)])

    with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url)) as issuer:
        ends = {_end_of_trial(issuer), _end_of_trial(issuer)}
        targets = [asked.target for asked in server.asked if asked.method == "DELETE"]
    assert ends == {expected}
    assert len(set(targets)) == len(targets)
    assert len(targets) == (2 if listed == 200 else 0)
    assert not any(target.endswith("/7") or "provisioner" in target for target in targets)


def _end_of_trial(issuer: Issuer) -> object:
    try:
        return issuer.accepts(SecretText(STRING))
    except ProvisionerError as error:
        return type(error)


# --- clocks -------------------------------------------------------------------------------------------


def dated(moment: datetime) -> str:
    """Write a Date header."""
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ahead", [120, -120, 31, -31, 29, -29, 0])
def test_clock_skew_is_taken_into_account(kind: str, ahead: int) -> None:
    """From 30 s on all times that the server tells are turned into ours, and what we ask for into the server's."""
    clock, skew = FakeClock(NOW + SECOND / 2), timedelta(seconds=ahead)
    applied = skew if abs(ahead) >= 30 else timedelta(0)
    theirs = {"influxdb3": ("created_at", "expiry"), "influxdb-management-api": ("createdAt", "expiresAt")}[kind]

    def answer(asked: Asked) -> Reply:
        now = clock.now() + skew
        times = {theirs[0]: now.isoformat(), theirs[1]: (now + DAY).isoformat()}
        if asked.method == "POST" and kind != "influxdb3":
            times[theirs[1]] = asked.json["expiresAt"]
        body = minted(kind, **times) if asked.method == "POST" else [wire_token(kind, **times)]
        return reply(200, body, date=dated(now))

    with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url, clock=clock)) as issuer:
        listing = issuer.list()
        (listed,) = listing.tokens
        created = issuer.create(a_request(clock))
        if kind != "influxdb3":
            asked_for = datetime.fromisoformat(server.asked[1].json["expiresAt"])
            assert asked_for == clock.now() + DAY + applied
    off = skew - applied
    assert listing.clock_skew == applied
    assert listed.created_at == created.created_at == clock.now() + off
    assert listed.expires_at == clock.now() + DAY + off
    assert created.expires_at == clock.now() + DAY + (off if kind == "influxdb3" else timedelta(0))
    assert listed.is_live(clock.now() + DAY + off - timedelta(seconds=1))
    assert not listed.is_live(clock.now() + DAY + off)


@pytest.mark.parametrize("kind", KINDS)
def test_same_token_has_the_same_times_while_the_skew_wavers(kind: str) -> None:
    """The protocol compares lists: as a skew wavers by seconds, nothing on them changes."""
    clock, skews = FakeClock(), iter([120, 122, 118, 124, 116, 130])

    def answer(_: Asked) -> Reply:
        return reply(200, [wire_token(kind)], date=dated(clock.now() + timedelta(seconds=next(skews))))

    with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url, clock=clock)) as issuer:
        lists = [issuer.list() for _ in range(6)]
    assert all(listing == lists[0] for listing in lists[:5])
    assert [listing.clock_skew.total_seconds() for listing in lists] == [120] * 5 + [130]
