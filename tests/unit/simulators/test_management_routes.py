"""The simulated management HTTP API against InfluxData's OpenAPI documents."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from provisioner.simulators.cluster_token import Kind, Permission
from tests.fakes.clock import FakeClock
from tests.unit.simulators.conftest import Visitor

NOBODY: Final = "8c1f2f0e-4d5a-4c11-9d3e-2f5f1c7b9a10"
PRODUCT: Final = "/accounts/11111111-1111-1111-1111-111111111111/clusters/22222222-2222-2222-2222-222222222222"
PERMISSIONS: Final = [{"action": "read", "resource": "metrics"}, {"action": "write", "resource": "*"}]
WANTED: Final = {"description": "Telegraf", "permissions": PERMISSIONS, "expiresAt": "2127-01-01T01:00:00+01:00"}
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def create(visitor: Visitor, **changes: object) -> Any:
    """Create a token, which has to succeed."""
    answer = visitor.manage("POST", "/tokens", json=WANTED | changes)
    assert answer.status_code == 200
    return answer.json()


def test_create_shows_the_string_once(visitor: Visitor, clock: FakeClock) -> None:
    """Create answers 200 with the whole token and its string; the list and the single one are the same without it."""
    created = create(visitor)
    string = created.pop("accessToken")
    token = visitor.cluster.authenticated(string)
    assert token is not None
    assert (token.kind, token.expires_at) == (Kind.DATABASE, datetime(2127, 1, 1, tzinfo=UTC))
    assert token.permissions == tuple(Permission(**permission) for permission in PERMISSIONS)
    assert set(created) == {"id", "description", "permissions", "createdAt", "expiresAt"}
    assert created["permissions"] == PERMISSIONS
    assert all(TIME.fullmatch(created[key]) for key in ("createdAt", "expiresAt"))
    assert datetime.fromisoformat(created["createdAt"]) == clock.now()
    assert visitor.manage("GET", "/tokens").json() == [created]
    assert visitor.manage("GET", f"/tokens/{created['id']}").json() == created


@pytest.mark.parametrize("kind", ["datetime", None])
def test_expiry_may_be_left_out(visitor: Visitor, kind: str | None) -> None:
    """Without an expiry there is no key for it; Dedicated's expirationType is taken and means nothing more."""
    more = {"expirationType": kind} if kind else {}
    assert "expiresAt" not in create(visitor, expiresAt=None, **more)
    assert visitor.made(Kind.DATABASE)[0].expires_at is None


def test_product_style_names_account_and_cluster(visitor: Visitor) -> None:
    """Under accounts and clusters the same tokens are served, with two more keys."""
    created = create(visitor)
    del created["accessToken"]
    ids = {"accountId": "11111111-1111-1111-1111-111111111111", "clusterId": "22222222-2222-2222-2222-222222222222"}
    assert visitor.manage("GET", f"{PRODUCT}/tokens").json() == [created | ids]
    assert visitor.manage("GET", f"{PRODUCT}/databases").status_code == 200
    assert visitor.manage("DELETE", f"{PRODUCT}/tokens/{created['id']}").status_code == 204


def test_deleted_token_stays_listed_as_revoked(visitor: Visitor, clock: FakeClock) -> None:
    """DELETE answers 204 without a body, the token is dead and listed with the time; a second one finds nothing."""
    created = create(visitor)
    clock.advance(timedelta(minutes=1))
    answer = visitor.manage("DELETE", f"/tokens/{created['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    (listed,) = visitor.manage("GET", "/tokens").json()
    assert datetime.fromisoformat(listed["revokedAt"]) == clock.now()
    assert not visitor.cluster.authenticate(created["accessToken"])
    assert visitor.manage("DELETE", f"/tokens/{created['id']}").status_code == 404
    assert visitor.manage("PATCH", f"/tokens/{created['id']}", json={"description": "x"}).status_code == 409


def test_patch_changes_what_it_names(visitor: Visitor) -> None:
    """Description and permissions change in place, each alone; id, times and string stay."""
    created = create(visitor)
    string = created.pop("accessToken")
    changed = visitor.manage("PATCH", f"/tokens/{created['id']}", json={"permissions": []})
    assert (changed.status_code, changed.json()) == (200, created | {"permissions": []})
    changed = visitor.manage("PATCH", f"/tokens/{created['id']}", json={"description": "x"})
    assert changed.json() == created | {"permissions": [], "description": "x"}
    assert visitor.cluster.authenticate(string)


@pytest.mark.parametrize("content", [{}, {"expiresAt": "2128-01-01T00:00:00Z", "description": "x"}, {"colour": "red"}])
def test_patch_without_a_change_or_with_an_expiry_is_refused(visitor: Visitor, content: dict[str, str]) -> None:
    """An expiry cannot be changed, and something has to be."""
    created = create(visitor)
    answer = visitor.manage("PATCH", f"/tokens/{created['id']}", json=content)
    assert answer.status_code == 400
    assert visitor.made(Kind.DATABASE)[0].description == "Telegraf"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_unknown_token_is_not_found(visitor: Visitor, method: str) -> None:
    """An id that no database token has is 404; a management token's is none."""
    management = visitor.cluster.tokens(Kind.MANAGEMENT)[0].token_id
    for token_id in (NOBODY, management):
        content = {"json": {"description": "x"}} if method == "PATCH" else {}
        answer = visitor.manage(method, f"/tokens/{token_id}", **content)
        assert (answer.status_code, answer.json()["code"]) == (404, 404)
    assert visitor.cluster.authenticate(visitor.management)


@pytest.mark.parametrize(
    "changes",
    [
        {"description": ""},
        {"description": 7},
        {"permissions": "all"},
        {"permissions": [{"action": "own", "resource": "x"}]},
        {"permissions": [{"action": "read"}]},
        {"permissions": [{"action": "read", "resource": ""}]},
        {"expiresAt": "tomorrow"},
        {"expiresAt": "2127-01-01T00:00:00"},
    ],
)
def test_bad_content_is_refused(visitor: Visitor, changes: dict[str, object]) -> None:
    """Every bad field is 400 with code and message, and creates nothing."""
    answer = visitor.manage("POST", "/tokens", json=WANTED | changes)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message"}
    assert visitor.made(Kind.DATABASE) == ()


@pytest.mark.parametrize(
    ("body", "kind"), [(b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")]
)
def test_body_that_is_no_json_object_is_refused(visitor: Visitor, body: bytes, kind: str) -> None:
    """What cannot be read is 400."""
    answer = visitor.manage("POST", "/tokens", content=body, headers={"content-type": kind})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/databases", "/tokens", f"/tokens/{NOBODY}", f"{PRODUCT}/tokens"])
def test_only_a_live_management_token_opens(visitor: Visitor, clock: FakeClock, path: str) -> None:
    """No token, tokens of the other kinds, an expired and a revoked one, and another scheme are 401."""
    cluster, url = visitor.cluster, visitor.api.url + path
    expired = cluster.create("expired", clock.now() + timedelta(seconds=1))[1]
    clock.advance(timedelta(seconds=1))
    token, revoked = cluster.create("revoked", None)
    cluster.revoke(token.token_id)
    database = cluster.create("database", None, kind=Kind.DATABASE)[1]
    answers = [visitor.ask("GET", url, credential) for credential in ("", expired, revoked, database, visitor.admin)]
    answers.append(visitor.ask("GET", url, headers={"authorization": f"Token {visitor.management}"}))
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, 401)] * 6
    assert visitor.ask("GET", url, visitor.management).status_code in {200, 404}
