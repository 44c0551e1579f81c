"""Simulated InfluxDB 3 against what its source says of named admin tokens."""

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import Kind
from provisioner.simulators.management_api import ManagementApi
from tests.fakes.clock import FakeClock
from tests.switchboard import Switchboard
from tests.unit.simulators.conftest import Visitor

TOKENS: Final = "/api/v3/configure/token"
NAMED: Final = f"{TOKENS}/named_admin"
SQL: Final = "/api/v3/query_sql"
QUERY: Final = {"db": "_internal", "q": "SELECT * FROM system.tokens"}
NOT_AUTHENTICATED: Final = {"error": "the request was not authenticated"}


def create(visitor: Visitor, name: str, seconds: object = 3600) -> httpx.Response:
    """Ask for a named admin token."""
    return visitor.influxdb3("POST", NAMED, json={"token_name": name, "expiry_secs": seconds})


def test_created_token_has_the_documented_shape(visitor: Visitor, clock: FakeClock) -> None:
    """201, literally ``json`` as the type, keys in order, times to the millisecond by the server's clock."""
    clock.advance(timedelta(microseconds=123_456))
    answer = create(visitor, "telegraf", 60)
    created = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (201, "json")
    assert list(created) == ["id", "name", "token", "hash", "created_at", "expiry"]
    assert (created["id"], created["name"], len(created["token"])) == (1, "telegraf", 92)
    assert created["hash"] == hashlib.sha512(created["token"].encode()).hexdigest()
    assert created["created_at"] == f"{clock.now():%Y-%m-%dT%H:%M:%S}.123Z"
    assert created["expiry"] == f"{clock.now() + timedelta(seconds=60):%Y-%m-%dT%H:%M:%S}.123Z"
    assert visitor.ask("GET", visitor.api.influxdb3 + SQL, created["token"], params=QUERY).status_code == 200


def test_list_has_no_zones_and_no_nulls(visitor: Visitor, clock: FakeClock) -> None:
    """Rows name what is there; a fraction of nought is not printed, and a token without an expiry has no such key."""
    clock.advance(timedelta(milliseconds=5))
    created = create(visitor, "telegraf", 60).json()
    operator, row = visitor.sql()
    assert (operator["token_id"], operator["name"], "expiry" in operator) == (0, "_admin", False)
    assert row == {
        "token_id": 1,
        "name": "telegraf",
        "hash": created["hash"][:9],
        "created_at": created["created_at"].removesuffix("Z"),
        "expiry": created["expiry"].removesuffix("Z"),
        "permissions": "*:*:*",
    }
    clock.advance(timedelta(milliseconds=995))
    create(visitor, "grafana", 60)
    assert visitor.sql()[2]["created_at"] == f"{clock.now():%Y-%m-%dT%H:%M:%S}"


def test_columns_are_selected(visitor: Visitor) -> None:
    """Named columns come alone, a null one not at all; each way to ask is answered alike."""
    statement = "select token_id, name, updated_at\nfrom system.tokens;"
    wanted = [{"token_id": 0, "name": "_admin"}]
    assert visitor.sql(statement) == wanted
    posted = visitor.influxdb3("POST", SQL, json={"db": "_internal", "q": statement, "format": "json"})
    lines = visitor.influxdb3("GET", SQL, params={"db": "_internal", "q": statement, "format": "jsonl"})
    assert posted.json() == [json.loads(line) for line in lines.text.splitlines()] == wanted


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"db": "metrics"}, 404),
        ({"db": None}, 400),
        ({"q": None}, 400),
        ({"q": "SELECT * FROM system.queries"}, 400),
        ({"q": "SELECT colour FROM system.tokens"}, 400),
        ({"format": "parquet"}, 400),
    ],
)
def test_other_queries_are_refused(visitor: Visitor, changes: dict[str, str | None], status: int) -> None:
    """Tokens are in ``_internal`` alone, and the simulator knows one statement."""
    parameters = {key: value for key, value in (QUERY | changes).items() if value is not None}
    answers = [visitor.influxdb3("GET", SQL, params=parameters), visitor.influxdb3("POST", SQL, json=parameters)]
    assert [answer.status_code for answer in answers] == [status, status]


def test_name_is_taken_until_deleted(visitor: Visitor, clock: FakeClock) -> None:
    """A second of the same name is 409, also when the first has expired; deleted, it is gone and its name is free."""
    string = create(visitor, "x", 1).json()["token"]
    clock.advance(timedelta(seconds=1))
    again = create(visitor, "x")
    assert (again.status_code, again.text) == (409, "token name already exists, x")
    assert [row["name"] for row in visitor.sql()] == ["_admin", "x"]
    deleted = visitor.influxdb3("DELETE", TOKENS, params={"token_name": "x"})
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert [row["name"] for row in visitor.sql()] == ["_admin"]
    assert not visitor.cluster.authenticate(string)
    assert create(visitor, "x").json()["id"] == 2


def test_what_cannot_be_deleted(visitor: Visitor) -> None:
    """An unknown name is 404, the operator 405, no name 400."""
    answers = [
        visitor.influxdb3("DELETE", TOKENS, params=parameters)
        for parameters in ({"token_name": "nobody"}, {"token_name": "_admin"}, {})
    ]
    assert [(answer.status_code, answer.text.partition(":")[0]) for answer in answers] == [
        (404, "the requested resource was not found"),
        (405, "cannot delete operator token"),
        (400, "serde error"),
    ]
    assert visitor.cluster.authenticate(visitor.admin)


def test_token_may_delete_itself(visitor: Visitor) -> None:
    """Nothing guards the token that asks."""
    string = create(visitor, "x").json()["token"]
    deleted = visitor.ask("DELETE", visitor.api.influxdb3 + TOKENS, string, params={"token_name": "x"})
    assert (deleted.status_code, visitor.cluster.authenticate(string)) == (200, False)


@pytest.mark.parametrize(("seconds", "expires"), [(0, True), (None, False), (10**15, False)])
def test_expiries_at_the_edge(visitor: Visitor, seconds: int | None, *, expires: bool) -> None:
    """Nought is taken and over at once; none, and what no calendar holds, are for ever."""
    created = create(visitor, "x", seconds)
    assert created.status_code == 201
    assert (created.json()["expiry"] is not None) is expires
    assert visitor.cluster.authenticate(created.json()["token"]) is not expires


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ('{"token_name": "x", "expiry_secs": -1}', "application/json", 400),
        ('{"token_name": "x", "expiry_secs": 1.5}', "application/json", 400),
        ('{"token_name": "x", "expiry_secs": true}', "application/json", 400),
        ('{"name": "x"}', "application/json", 400),
        ("{", "application/json", 400),
        ('{"token_name": "x"}', "text/plain", 415),
        ('{"token_name": "x"}', None, 415),
        ('{"token_name": "x"}', "application/json; charset=utf-8", 201),
    ],
)
def test_bodies_are_read_strictly(visitor: Visitor, body: str, kind: str | None, status: int) -> None:
    """Only JSON that says so and has the right fields creates."""
    headers = {"content-type": kind} if kind else {}
    assert visitor.influxdb3("POST", NAMED, content=body, headers=headers).status_code == status
    assert len(visitor.made(Kind.ADMIN)) == (1 if status == 201 else 0)


@pytest.mark.parametrize(("method", "path"), [("POST", NAMED), ("DELETE", TOKENS), ("GET", SQL), ("POST", SQL)])
def test_only_a_live_admin_token_opens(visitor: Visitor, clock: FakeClock, method: str, path: str) -> None:
    """Unknown, expired, deleted and foreign tokens are one 401 without a content type, and change nothing."""
    cluster, url = visitor.cluster, visitor.api.influxdb3 + path
    expired = create(visitor, "expired", 1).json()["token"]
    deleted = create(visitor, "deleted").json()
    cluster.revoke(str(deleted["id"]))
    clock.advance(timedelta(seconds=1))
    before = cluster.tokens()
    more: dict[str, Any] = {"json": {"token_name": "x"}} if method == "POST" else {"params": {"token_name": "expired"}}
    for credential in ("", "apiv3_unknown", expired, deleted["token"], visitor.management):
        answer = visitor.ask(method, url, credential, **more)
        assert (answer.status_code, answer.json(), "content-type" in answer.headers) == (401, NOT_AUTHENTICATED, False)
    assert cluster.tokens() == before


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer", "Bearer {} more", "{}", "Digest {}", "Basic !"])
def test_malformed_credential_is_another_error(visitor: Visitor, form: str) -> None:
    """The scheme is written exactly so, and two words follow each other: all else is 400."""
    header = {"authorization": form.format(visitor.admin)}
    answer = visitor.ask("GET", visitor.api.influxdb3 + SQL, params=QUERY, headers=header)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Authorization header was malformed, ")


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "Basic"])
def test_three_schemes_are_believed(visitor: Visitor, scheme: str) -> None:
    """Bearer, Token, and Basic with anybody's name."""
    said = base64.b64encode(f"anybody:{visitor.admin}".encode()).decode() if scheme == "Basic" else visitor.admin
    header = {"authorization": f"{scheme} {said}"}
    assert visitor.ask("GET", visitor.api.influxdb3 + SQL, params=QUERY, headers=header).status_code == 200


def test_operator_is_made_once_and_regenerated(visitor: Visitor) -> None:
    """The first operator needs no token, a second is 409; the old string is dead as soon as there is a new one."""
    url = visitor.api.influxdb3 + TOKENS
    before = visitor.sql()[0]["created_at"]
    assert visitor.ask("POST", f"{url}/admin").status_code == 409
    renewed = visitor.influxdb3("POST", f"{TOKENS}/admin/regenerate")
    assert (renewed.status_code, renewed.json()["id"], renewed.json()["name"]) == (201, 0, "_admin")
    assert not visitor.cluster.authenticate(visitor.admin)
    assert visitor.cluster.authenticate(renewed.json()["token"])
    assert renewed.json()["created_at"] == f"{before}.000Z"


def test_first_operator_needs_no_token(
    served: tuple[ManagementApi, Switchboard, httpx.Client], cluster: Cluster, clock: FakeClock
) -> None:
    """Whoever comes first to an empty server gets the operator token."""
    api, switchboard, http = served
    switchboard.turn_to(cluster)
    made = http.post(f"{api.influxdb3}{TOKENS}/admin").json()
    assert (made["id"], made["expiry"], made["created_at"]) == (0, None, f"{clock.now():%Y-%m-%dT%H:%M:%S}.000Z")
    assert cluster.authenticate(made["token"])


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/ping"])
def test_health_needs_a_token(visitor: Visitor, path: str) -> None:
    """As by default in the real one."""
    assert visitor.ask("GET", visitor.api.influxdb3 + path).status_code == 401
    assert visitor.influxdb3("GET", path).status_code == 200


def test_every_answer_names_the_instance(visitor: Visitor) -> None:
    """Good and bad answers hold the same UUID."""
    answers = [visitor.influxdb3("GET", "/health"), visitor.ask("GET", visitor.api.influxdb3 + SQL)]
    assert {answer.headers["cluster-uuid"] for answer in answers} == {visitor.cluster.instance()}
    assert "cluster-uuid" not in visitor.manage("GET", "/tokens").headers
