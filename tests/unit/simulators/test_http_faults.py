"""What the knobs do to HTTP: the same as to influxctl, and what HTTP alone can suffer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import Kind
from provisioner.simulators.management_api import ManagementApi
from tests.fakes.clock import FakeClock
from tests.unit.simulators.conftest import PATIENCE, Visitor

SHORT: Final = 0.2
"""Seconds after which nothing is expected any more."""
SQL: Final = "/api/v3/query_sql"
NAMED: Final = "/api/v3/configure/token/named_admin"
LIST: Final = {"db": "_internal", "q": "SELECT * FROM system.tokens"}


@dataclass(frozen=True, slots=True)
class Api:
    """One of the two APIs, as far as faults concern it."""

    visitor: Visitor
    kind: Kind

    def create(self, **more: Any) -> httpx.Response:
        """Ask for a token that ends in an hour."""
        if self.kind is Kind.ADMIN:
            wanted: dict[str, object] = {"token_name": "x", "expiry_secs": 3600}
            return self.visitor.influxdb3("POST", NAMED, json=wanted, **more)
        expiry = self.visitor.cluster.now() + timedelta(hours=1)
        wanted = {"description": "x", "permissions": [], "expiresAt": expiry.isoformat()}
        return self.visitor.manage("POST", "/tokens", json=wanted, **more)

    def list(self, **more: Any) -> httpx.Response:
        """Ask for the list."""
        if self.kind is Kind.ADMIN:
            return self.visitor.influxdb3("GET", SQL, params=LIST, **more)
        return self.visitor.manage("GET", "/tokens", **more)

    def revoke(self, **more: Any) -> httpx.Response:
        """Make a token, and ask to end it."""
        token, _ = self.visitor.cluster.create("victim", None, kind=self.kind)
        if self.kind is Kind.ADMIN:
            path, parameters = "/api/v3/configure/token", {"token_name": "victim"}
            return self.visitor.influxdb3("DELETE", path, params=parameters, **more)
        return self.visitor.manage("DELETE", f"/tokens/{token.token_id}", **more)

    def ask(self, operation: str, **more: Any) -> httpx.Response:
        """Ask for one of the three."""
        operations: dict[str, Callable[..., httpx.Response]] = {
            "create": self.create,
            "list": self.list,
            "revoke": self.revoke,
        }
        return operations[operation](**more)

    def has_happened(self, operation: str) -> bool:
        """Tell whether a create or revoke has had its effect."""
        made = {token.description: token for token in self.visitor.made(self.kind)}
        return "x" in made if operation == "create" else made["victim"].revoked_at is not None


@pytest.fixture(params=[Kind.DATABASE, Kind.ADMIN])
def api(request: pytest.FixtureRequest, visitor: Visitor) -> Api:
    """Give each API."""
    return Api(visitor, request.param)


@pytest.mark.parametrize("operation", ["create", "list", "revoke"])
def test_counted_failures_have_no_effect(api: Api, operation: str) -> None:
    """That many calls are answered 500 and do nothing; the next is as ever, and so are the other operations."""
    api.visitor.cluster.set(**{f"fail_{operation}": 1})
    assert api.ask(operation).status_code == 500
    assert operation == "list" or not api.has_happened(operation)
    if operation != "revoke":  # whose victim is there already
        assert api.ask(operation).is_success


def test_lost_answer_follows_an_effect(api: Api) -> None:
    """The create took place, and is answered 500."""
    api.visitor.cluster.set(lose_answer=1)
    assert api.create().status_code == 500
    assert api.has_happened("create")


@pytest.mark.parametrize(("operation", "happens"), [("create", True), ("list", False), ("revoke", False)])
def test_hanging_calls_never_answer(api: Api, operation: str, *, happens: bool) -> None:
    """A call that is told to hang has to be given up; only a create has had its effect."""
    api.visitor.cluster.set(**{f"hang_{operation}": 1})
    with pytest.raises(httpx.ReadTimeout):
        api.ask(operation, timeout=SHORT)
    assert operation == "list" or api.has_happened(operation) is happens


@pytest.mark.parametrize("operation", ["create", "revoke"])
def test_server_dies_after_an_effect(api: Api, operation: str) -> None:
    """The effect took place, and the connection ends without an answer."""
    api.visitor.cluster.set(**{f"die_after_{operation}": 1})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        api.ask(operation)
    assert api.has_happened(operation)


@pytest.mark.parametrize("operation", ["create", "list"])
def test_cut_output_ends_in_the_middle(api: Api, operation: str) -> None:
    """The status promises success, the length more than comes, and a create has had its effect."""
    api.visitor.cluster.set(cut_output=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        api.ask(operation)
    assert operation == "list" or api.has_happened("create")
    assert api.list().is_success


def test_forgotten_expiry(api: Api) -> None:
    """One create ignores the expiry that was asked for."""
    api.visitor.cluster.set(forget_expiry=1)
    created = api.create().json()
    assert created.get("expiry", created.get("expiresAt")) is None
    assert api.visitor.made(api.kind)[0].expires_at is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("operation", ["create", "list"])
def test_full_disk_fails_what_would_be_kept(api: Api, operation: str) -> None:
    """A create is answered 500 and leaves no trace; the list still answers."""
    api.visitor.cluster.set(disk_full=True)
    answer = api.ask(operation)
    if operation == "list":
        assert answer.is_success
    else:
        assert (answer.status_code, "No space left" in answer.text) == (500, True)
        assert api.visitor.made(api.kind) == ()


def test_stale_list_shows_the_past(api: Api, clock: FakeClock) -> None:
    """A new token is missing from the list until the lag is over, though it works."""
    api.visitor.cluster.set(stale_list=60)
    created = api.create().json()
    assert created["id"] not in {entry.get("id", entry.get("token_id")) for entry in api.list().json()}
    assert api.visitor.cluster.authenticate(created.get("token") or created["accessToken"])
    clock.advance(timedelta(seconds=60))
    assert created["id"] in {entry.get("id", entry.get("token_id")) for entry in api.list().json()}


def test_activation_lag_holds_back_a_new_token(visitor: Visitor, clock: FakeClock) -> None:
    """A new token is 401 until the lag is over; what a person made by hand works all the time."""
    visitor.cluster.set(activation_lag=60)
    string = Api(visitor, Kind.ADMIN).create().json()["token"]
    url = visitor.api.influxdb3 + SQL
    assert visitor.ask("GET", url, string, params=LIST).status_code == 401
    clock.advance(timedelta(seconds=60))
    assert visitor.ask("GET", url, string, params=LIST).status_code == 200


def test_unauthenticated_refuses_every_credential(api: Api) -> None:
    """The knob that lets influxctl hang in a login lets HTTP answer 401, without an effect."""
    api.visitor.cluster.set(unauthenticated=True)
    assert (api.create().status_code, api.visitor.made(api.kind)) == (401, ())


def test_status_comes_with_retry_after(api: Api) -> None:
    """Every request is answered with the status, before anything is done; Retry-After stands beside it when set."""
    api.visitor.cluster.set(http_status=429, retry_after=7)
    answer = api.create()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    api.visitor.cluster.set(http_status=503, retry_after=0)
    assert (api.list().status_code, "retry-after" in api.list().headers) == (503, False)
    assert api.visitor.made(api.kind) == ()


def test_latency_is_waited_for(api: Api) -> None:
    """Nothing is done before it is over."""
    api.visitor.cluster.set(latency=1000)  # of the tests, none waits so long
    with pytest.raises(httpx.ReadTimeout):
        api.create(timeout=SHORT)
    assert api.visitor.made(api.kind) == ()


@pytest.mark.parametrize("ahead", [-90.0, 90.0])
def test_wrong_clock_shows_everywhere(api: Api, clock: FakeClock, ahead: float) -> None:
    """The Date header and the times of tokens are by the server's clock, and an expiry in seconds counts from it."""
    api.visitor.cluster.set(clock_ahead=ahead)
    answer = api.create()
    (token,) = api.visitor.made(api.kind)
    seen = clock.now() + timedelta(seconds=ahead)
    assert parsedate_to_datetime(answer.headers["date"]) == seen.replace(microsecond=0)
    assert (token.created_at, token.expires_at) == (seen, seen + timedelta(hours=1))


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ("malformed", (None, b'{"id": 1, "token" "')),
        ("html", (200, b"<!DOCTYPE html>")),
        ("empty", (None, b"")),
        ("wrong_shape", (None, b'{"unexpected": ')),
    ],
)
@pytest.mark.parametrize("operation", ["create", "list", "revoke"])
def test_odd_answers_follow_an_effect(api: Api, operation: str, odd: str, expected: tuple[int | None, bytes]) -> None:
    """The call had its effect, its answer looks like a success and is none; the next is as ever."""
    api.visitor.cluster.set(odd_answers=1, odd_answer=odd)
    answer = api.ask(operation)
    status, start = expected
    usual = 201 if operation == "create" and api.kind is Kind.ADMIN else 200
    assert answer.status_code == (status or usual)
    assert answer.content.startswith(start)
    assert (answer.content == b"") is (start == b"")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert ("text/html" in answer.headers.get("content-type", "")) is (odd == "html")
    assert operation == "list" or api.has_happened(operation)
    assert isinstance(api.list().json(), list)


@pytest.mark.parametrize("operation", ["create", "list", "revoke"])
def test_truncated_answer_follows_an_effect(api: Api, operation: str) -> None:
    """The body ends before the length that was declared."""
    api.visitor.cluster.set(odd_answers=1, odd_answer="truncated")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        api.ask(operation)
    assert operation == "list" or api.has_happened(operation)


def test_redirect_has_no_effect_and_is_noticed_when_followed(api: Api) -> None:
    """307 leads to an address that takes note of who comes there with the same method."""
    api.visitor.cluster.set(odd_answers=2, odd_answer="redirect")
    answer = api.create()
    assert (answer.status_code, answer.headers["location"]) == (307, f"{api.visitor.api.influxdb3}/elsewhere")
    assert api.visitor.api.followed == []
    api.create(follow_redirects=True)
    assert api.visitor.api.followed == ["POST"]
    api.visitor.api.followed.clear()
    assert api.visitor.made(api.kind) == ()


def test_slow_answer_drips_for_ever(api: Api) -> None:
    """Something comes again and again, so that no wait for the next byte is long, and it never ends."""
    api.visitor.cluster.set(odd_answers=1, odd_answer="slow")
    url, headers = api.visitor.api.url + "/tokens", {"authorization": f"Bearer {api.visitor.management}"}
    with api.visitor.http.stream("GET", url, headers=headers, timeout=5) as answer:
        drops = answer.iter_raw()
        assert [next(drops) for _ in range(3)] == [b" "] * 3


def test_bad_knobs_are_said(api: Api, tmp_path: Path) -> None:
    """A file that is wrong is named in every answer."""
    (tmp_path / "cluster" / "knobs.json").write_text('{"fail_creates": 1}')
    answer = api.list()
    assert (answer.status_code, "fail_creates" in answer.text) == (500, True)


@pytest.mark.parametrize("knobs", [{"hang_list": 1}, {"latency": 1000}, {"odd_answers": 1, "odd_answer": "slow"}])
def test_server_stops_though_somebody_waits(tmp_path: Path, knobs: dict[str, object]) -> None:
    """Whoever is kept waiting does not keep the server from leaving, and is left without an answer."""
    cluster = Cluster(tmp_path / "own")
    cluster.set(**knobs)
    credential = {"authorization": f"Bearer {cluster.operator('management')}"}
    clock = SystemClock()
    with ThreadPoolExecutor(1) as pool:
        with ManagementApi(cluster) as api:
            waiting = pool.submit(httpx.get, f"{api.url}/tokens", headers=credential, timeout=PATIENCE)
            deadline = clock.monotonic() + PATIENCE
            while api.requests == 0 and clock.monotonic() < deadline:
                clock.sleep(timedelta(milliseconds=10))
            began = clock.monotonic()
        assert clock.monotonic() - began < PATIENCE / 2
        assert isinstance(waiting.exception(), httpx.RemoteProtocolError)
