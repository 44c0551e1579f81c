"""The simulated data plane: who may read and write which database."""

from datetime import timedelta
from typing import Any

import pytest

from provisioner.simulators.cluster_token import Kind, Permission
from tests.fakes.clock import FakeClock
from tests.unit.simulators.conftest import Visitor

LINE = b"cpu value=1"
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "query": ("GET", "/query", {"params": {"db": "metrics", "q": "SHOW MEASUREMENTS"}}),
    "write": ("POST", "/write", {"params": {"db": "metrics"}, "content": LINE}),
    "write of version 2": ("POST", "/api/v2/write", {"params": {"bucket": "metrics"}, "content": LINE}),
}
DONE = {"query": 200, "write": 204, "write of version 2": 204}


def status(visitor: Visitor, request: str, credential: str, **changes: Any) -> int:
    """Ask, and give the status."""
    method, path, more = REQUESTS[request]
    return visitor.ask(method, visitor.api.query_url + path, credential, **(more | changes)).status_code


def database_token(visitor: Visitor, *permissions: tuple[str, str]) -> str:
    """Give a database token with those permissions."""
    granted = tuple(Permission(action=action, resource=resource) for action, resource in permissions)
    return visitor.cluster.create("x", None, kind=Kind.DATABASE, permissions=granted)[1]


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("resource", ["metrics", "*", "logs"])
@pytest.mark.parametrize("action", ["read", "write"])
def test_permissions_open_databases(visitor: Visitor, request_name: str, resource: str, action: str) -> None:
    """Reading opens the query, writing the writes, of that database or of all; for all else it is 403."""
    wanted = "read" if request_name == "query" else "write"
    opens = action == wanted and resource != "logs"
    string = database_token(visitor, (action, resource))
    assert status(visitor, request_name, string) == (DONE[request_name] if opens else 403)


@pytest.mark.parametrize("request_name", REQUESTS)
def test_only_live_tokens_open_databases(visitor: Visitor, clock: FakeClock, request_name: str) -> None:
    """No token, a management token, and one that has ended are 401; an admin token opens everything."""
    ended = visitor.cluster.create(
        "x",
        clock.now() + timedelta(seconds=1),
        kind=Kind.DATABASE,
        permissions=tuple(Permission(action=action, resource="*") for action in ("read", "write")),
    )[1]
    assert status(visitor, request_name, ended) == DONE[request_name]
    clock.advance(timedelta(seconds=1))
    assert [status(visitor, request_name, string) for string in ("", visitor.management, ended)] == [401] * 3
    assert status(visitor, request_name, visitor.admin) == DONE[request_name]


def test_query_answers_as_version_1_does(visitor: Visitor) -> None:
    """There is a result without rows; the token may stand in the parameters, too."""
    string = database_token(visitor, ("read", "*"))
    url, asked = f"{visitor.api.query_url}/query", {"db": "metrics", "q": "SHOW MEASUREMENTS"}
    assert visitor.ask("GET", url, string, params=asked).json() == {"results": [{"statement_id": 0}]}
    assert visitor.ask("GET", url, params=asked | {"p": string}).status_code == 200
    assert visitor.ask("GET", url, params=asked | {"p": "wrong"}).json() == {"error": "unauthorized access"}


@pytest.mark.parametrize(
    ("request_name", "changes"),
    [
        ("query", {"params": {"db": "metrics"}}),
        ("query", {"params": {"q": "SHOW MEASUREMENTS"}}),
        ("write", {"content": b""}),
        ("write", {"params": {}}),
        ("write of version 2", {"content": b" \n"}),
        ("write of version 2", {"params": {}}),
    ],
)
def test_bad_requests_are_said(visitor: Visitor, request_name: str, changes: dict[str, Any]) -> None:
    """A missing parameter and an empty body are 400."""
    string = database_token(visitor, ("read", "*"), ("write", "*"))
    assert status(visitor, request_name, string, **changes) == 400


def test_version_2_says_no_in_its_own_words(visitor: Visitor) -> None:
    """Its errors have a code and a message."""
    answer = visitor.ask("POST", f"{visitor.api.query_url}/api/v2/write", params={"bucket": "x"}, content=LINE)
    assert answer.json() == {"code": "unauthorized", "message": "unauthorized access"}
