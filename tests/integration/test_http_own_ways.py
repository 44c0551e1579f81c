"""What the HTTP issuers revoke, amend and prove, and what each API answers to that in its own way."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from provisioner.domain.errors import (
    IssuerRefusedError,
    IssuerUnavailableError,
)
from provisioner.domain.secret import SecretText
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, always, reply
from tests.http_issuers import (
    AS_JSON,
    KINDS,
    OPERATIONS,
    PERMISSIONS,
    STRING,
    a_target,
    an_issuer,
    well,
    wire_token,
)

# --- revoking -----------------------------------------------------------------------------------------


def test_influxdb3_name_that_is_not_found_but_listed() -> None:
    """A 404 counts as gone only when the list agrees."""
    listed: list[Any] = [wire_token("influxdb3")]

    def answer(asked: Asked) -> Reply:
        return reply(404, "not found") if asked.method == "DELETE" else reply(200, listed)

    with ScriptedServer(answer) as server, closing(an_issuer("influxdb3", server.url)) as issuer:
        with pytest.raises(IssuerUnavailableError, match="listed all the same"):
            issuer.revoke(a_target())
        listed.clear()
        issuer.revoke(a_target())
        assert server.asked_for[2:] == [("DELETE", "/api/v3/configure/token"), ("GET", "/api/v3/query_sql")]


def test_influxdb3_never_deletes_what_is_not_ours() -> None:
    """A foreign token, such as _admin, is not revoked, whoever asks."""
    with ScriptedServer(well("influxdb3")) as server, closing(an_issuer("influxdb3", server.url)) as issuer:
        with pytest.raises(IssuerRefusedError, match="foreign"):
            issuer.revoke(a_target(mark=None))
        assert server.asked == []


@pytest.mark.parametrize("operation", ["create", "revoke", "accepts"])
def test_influxdb3_that_was_started_without_authorisation(operation: str) -> None:
    """Its token routes are closed: that has a message of its own."""

    def answer(asked: Asked) -> Reply:
        return reply(200, []) if asked.method == "GET" else reply(405, "endpoint disabled, started without auth")

    with (
        ScriptedServer(answer) as server,
        closing(an_issuer("influxdb3", server.url)) as issuer,
        pytest.raises(IssuerRefusedError, match="--without-auth"),
    ):
        OPERATIONS[operation](issuer)


GONE: dict[str, Callable[[], Reply]] = {
    "not there": lambda: reply(404, {"code": 404, "message": "token not found"}),
    "revoked": lambda: reply(200, wire_token(KINDS[1], revokedAt="2026-06-01T13:00:00Z")),
}


@pytest.mark.parametrize("look", GONE)
@pytest.mark.parametrize("end", [Reply(close=True), reply(500), Reply(pieces=[b"HTTP/1.1 204"], close=True)])
def test_management_api_looks_after_a_revocation_without_an_answer(end: Reply, look: str) -> None:
    """A connection that breaks on DELETE is common there: what is gone by then was revoked."""

    def answer(asked: Asked) -> Reply:
        return end if asked.method == "DELETE" else GONE[look]()

    with ScriptedServer(answer) as server, closing(an_issuer(KINDS[1], server.url)) as issuer:
        issuer.revoke(a_target())
        assert server.asked_for == [("DELETE", "/tokens/7"), ("GET", "/tokens/7")]


@pytest.mark.parametrize("token_id", ["..", ".", "a/b", "a?b", "a#b", "", "a b", "é", "%2e"])
def test_management_api_id_that_would_lead_elsewhere(token_id: str) -> None:
    """What is no id is put into no address."""
    with ScriptedServer(well(KINDS[1])) as server, closing(an_issuer(KINDS[1], server.url)) as issuer:
        with pytest.raises(IssuerRefusedError, match="an id"):
            issuer.revoke(a_target(token_id=token_id))
        assert server.asked == []


# --- permissions --------------------------------------------------------------------------------------


def test_permissions_are_changed_in_place() -> None:
    """A PATCH names the permissions alone."""
    with ScriptedServer(well(KINDS[1])) as server, closing(an_issuer(KINDS[1], server.url)) as issuer:
        issuer.amend(a_target(), PERMISSIONS)
        assert server.asked[0].json == {"permissions": AS_JSON}
        assert issuer.list().amends_permissions


@pytest.mark.parametrize(
    "patched", [reply(404), reply(405), reply(501), reply(200, wire_token(KINDS[1], permissions=[]))]
)
def test_cluster_that_changes_no_permissions(patched: Reply) -> None:
    """Where PATCH is not known, or does nothing, lists say from then on that a new token is needed."""
    good = well(KINDS[1])

    def answer(asked: Asked) -> Reply:
        return patched if asked.method == "PATCH" else good(asked)

    with ScriptedServer(answer) as server, closing(an_issuer(KINDS[1], server.url)) as issuer:
        with pytest.raises(IssuerRefusedError, match="new tokens are made instead"):
            issuer.amend(a_target(), PERMISSIONS)
        assert not issuer.list().amends_permissions


def test_token_that_is_gone_says_nothing_of_permissions() -> None:
    """A 404 for a token that is not listed any more does not mean that PATCH is not known."""

    def answer(asked: Asked) -> Reply:
        return reply(404) if asked.method == "PATCH" else reply(200, [])

    with ScriptedServer(answer) as server, closing(an_issuer(KINDS[1], server.url)) as issuer:
        with pytest.raises(IssuerRefusedError, match="no such token"):
            issuer.amend(a_target(), PERMISSIONS)
        assert issuer.list().amends_permissions


# --- proof --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "works"),
    [
        (reply(200, wire_token(KINDS[1])), True),
        (reply(200, wire_token(KINDS[1], revokedAt="2026-06-01T13:00:00Z")), False),
        (reply(200, wire_token(KINDS[1], expiresAt="2020-01-01T00:00:00Z")), False),
        (reply(404), False),
        (reply(400, {"code": 400, "message": "invalid id"}), False),
    ],
)
def test_management_api_proves_by_reading_back(shown: Reply, works: bool) -> None:  # noqa: FBT001  # a table's column
    """Without query_url a token is proven when it is there and live."""
    with ScriptedServer(lambda _: shown) as server, closing(an_issuer(KINDS[1], server.url)) as issuer:
        assert issuer.prove(SecretText(STRING), "7") is works


READ, WRITE = ("read", "mydb"), ("write", "mydb")
PROOFS: list[tuple[list[tuple[str, str]], str, str]] = [
    ([READ], "/query", "mydb"),
    ([READ, WRITE], "/query", "mydb"),
    ([("read", "*")], "/query", "fallback"),
    ([("read", "*"), WRITE], "/query", "mydb"),
    ([WRITE], "/api/v2/write", "mydb"),
    ([("write", "*")], "/api/v2/write", "fallback"),
]


@pytest.mark.parametrize(("permissions", "path", "database"), PROOFS)
def test_management_api_proves_by_use(permissions: list[tuple[str, str]], path: str, database: str) -> None:
    """With query_url the new token itself is used: it reads where it may, else it writes nothing."""
    shown = [{"action": action, "resource": resource} for action, resource in permissions]
    api = ScriptedServer(lambda _: reply(200, wire_token(KINDS[1], permissions=shown)))
    with (
        api,
        ScriptedServer(lambda asked: reply(200 if asked.method == "GET" else 204)) as data,
        closing(an_issuer(KINDS[1], api.url, query_url=data.url, query_database="fallback")) as issuer,
    ):
        assert issuer.prove(SecretText(STRING), "7")
        for status, works in ((401, False), (403, False)):
            data.answer = always(reply(status))
            assert issuer.prove(SecretText(STRING), "7") is works
        data.answer = lambda _: reply(404, "database not found")
        with pytest.raises(IssuerRefusedError, match=f"there is no database {database}.*query_database"):
            issuer.prove(SecretText(STRING), "7")
        data.answer = lambda _: reply(500)
        with pytest.raises(IssuerUnavailableError):
            issuer.prove(SecretText(STRING), "7")
        assert {asked.token for asked in data.asked} == {STRING}
        assert {asked.path for asked in data.asked} == {path}
        assert {asked.query.get("db") or asked.query.get("bucket") for asked in data.asked} == {database}
        assert all(asked.body == b"" for asked in data.asked)
        assert len(api.asked) == len(data.asked)
        api.answer = well(KINDS[1])
        assert issuer.list().proves_by_use


def test_empty_write_that_is_refused_for_being_empty_is_authorised() -> None:
    """A server that looks at the body has looked at the token before."""
    shown = reply(200, wire_token(KINDS[1], permissions=[{"action": "write", "resource": "mydb"}]))
    with (
        ScriptedServer(lambda _: shown) as api,
        ScriptedServer(lambda _: reply(400, {"code": "invalid", "message": "no lines"})) as data,
        closing(an_issuer(KINDS[1], api.url, query_url=data.url)) as issuer,
    ):
        assert issuer.prove(SecretText(STRING), "7")


def test_proof_needs_a_database() -> None:
    """A token for all databases is tried on one that is named."""
    shown = reply(200, wire_token(KINDS[1], permissions=[{"action": "read", "resource": "*"}]))
    with (
        ScriptedServer(lambda _: shown) as api,
        closing(an_issuer(KINDS[1], api.url, query_url="http://127.0.0.1:9")) as issuer,
        pytest.raises(IssuerRefusedError, match="query_database"),
    ):
        issuer.prove(SecretText(STRING), "7")
