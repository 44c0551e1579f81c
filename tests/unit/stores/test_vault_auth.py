"""Client tokens of Vault: when they are renewed, obtained again, shared and given back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock, Semaphore, Thread, current_thread
from types import TracebackType
from typing import Any

import pytest

from provisioner.domain.errors import ProvisionerError, StoreRefusedError, StoreUnavailableError
from provisioner.domain.secret import SecretText
from provisioner.stores.vault_auth import AppRoleLogin, Body, ClientToken, TokenLogin
from tests.builders import SECOND
from tests.fakes.clock import FakeClock

LOGIN, RENEWAL, REVOCATION = "auth/approle/login", "auth/token/renew-self", "auth/token/revoke-self"


@dataclass(slots=True)
class Server:
    """Grants client tokens of a minute, or does what it is told; keeps what was asked of it."""

    lease: int = 60
    renewable: bool = True
    failures: dict[str, ProvisionerError] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    granted: int = 0
    on_ask: Callable[[str], None] = field(default=lambda _: None)

    def post(self, path: str, body: Body | None, token: SecretText | None) -> dict[str, Any]:
        """Answer one request about a client token."""
        del body
        self.asked.append((path, token.reveal() if token else None))
        self.on_ask(path)
        if path in self.failures:
            raise self.failures[path]
        if path == "auth/token/lookup-self":
            return {"data": {"ttl": self.lease, "renewable": self.renewable}}
        if path == LOGIN:
            self.granted += 1
        auth = {"client_token": f"t{self.granted}", "lease_duration": self.lease, "renewable": self.renewable}
        return {"auth": auth}

    def paths(self) -> list[str]:
        """Give what was asked since the last time."""
        paths = [path for path, _ in self.asked]
        self.asked.clear()
        return paths


@pytest.fixture
def server() -> Server:
    """Give a server that grants what it is asked."""
    return Server()


@pytest.fixture
def kept(server: Server, clock: FakeClock) -> ClientToken:
    """Give a client token that is obtained from that server by AppRole."""
    login = AppRoleLogin(role_id=lambda: SecretText("role"), secret_id=lambda: SecretText("secret"))
    return ClientToken(login, server.post, clock)


@pytest.mark.parametrize(
    ("after", "asked"), [(0, []), (39, []), (40, [RENEWAL]), (49, [RENEWAL]), (50, [LOGIN]), (3600, [LOGIN])]
)
def test_renewed_at_two_thirds_and_obtained_near_the_end(
    server: Server, kept: ClientToken, clock: FakeClock, after: int, asked: list[str]
) -> None:
    """A lease of a minute is renewed from the 40th second on; in its last ten a login is safer."""
    kept.current()
    server.paths()
    clock.advance(after * SECOND)
    kept.current()
    assert server.paths() == asked


def test_what_cannot_be_renewed_is_obtained_again(server: Server, kept: ClientToken, clock: FakeClock) -> None:
    """A client token that is not renewable, or refuses to be renewed, is replaced in time by a login."""
    server.failures[RENEWAL] = StoreRefusedError("lease is not renewable")
    kept.current()
    clock.advance(45 * SECOND)
    assert kept.current().reveal() == "t2"
    server.renewable = False
    kept.refused(kept.current())
    server.paths()
    clock.advance(45 * SECOND)
    kept.current()
    assert server.paths() == [LOGIN]


def test_renewal_that_gets_no_answer_costs_nothing(server: Server, kept: ClientToken, clock: FakeClock) -> None:
    """The client token is used for as long as it lasts, and renewing is tried again halfway to its end."""
    server.failures[RENEWAL] = StoreUnavailableError("no answer")
    kept.current()
    server.paths()
    clock.advance(40 * SECOND)
    assert [kept.current().reveal(), kept.current().reveal()] == ["t1", "t1"]
    assert server.paths() == [RENEWAL]
    clock.advance(5 * SECOND)
    assert kept.current().reveal() == "t1"
    assert server.paths() == [RENEWAL]


def test_shrinking_renewals_end_in_a_login(server: Server, kept: ClientToken, clock: FakeClock) -> None:
    """Near its maximum life a client token gets ever less; a new one is obtained instead."""
    kept.current()
    server.lease = 20
    clock.advance(45 * SECOND)
    assert kept.current().reveal() == "t2"


def test_refused_client_token_is_replaced_once_and_given_back(server: Server, kept: ClientToken) -> None:
    """Of several threads that were refused one logs in; the client token that nobody uses any more is revoked."""
    first = kept.current()
    server.paths()
    assert [kept.refused(first).reveal() for _ in range(3)] == ["t2", "t2", "t2"]
    assert server.asked == [(LOGIN, None), (REVOCATION, "t1")]


def test_revocation_that_fails_is_no_failure(server: Server, kept: ClientToken) -> None:
    """Most refused client tokens have ended, and cannot be revoked."""
    server.failures[REVOCATION] = StoreRefusedError("denied")
    assert kept.refused(kept.current()).reveal() == "t2"


def test_only_what_we_obtained_is_given_back(server: Server, clock: FakeClock) -> None:
    """A client token from elsewhere is never revoked: others may use it; a rotated file is seen."""
    texts = iter(["first", "second"])
    kept = ClientToken(TokenLogin(token=lambda: SecretText(next(texts))), server.post, clock)
    assert kept.refused(kept.current()).reveal() == "second"
    assert kept.give_up() is None
    assert REVOCATION not in server.paths()


def test_given_up_once(server: Server, kept: ClientToken) -> None:
    """What has to be revoked on leaving is given once; without a login there is nothing."""
    assert kept.give_up() is None
    kept.current()
    assert kept.give_up() == SecretText("t1")
    assert kept.give_up() is None
    assert server.paths() == [LOGIN]


class CountingLock:
    """A lock that tells of each thread that has come for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.came = Semaphore(0)

    def __enter__(self) -> None:
        """Be counted, then wait."""
        self.came.release()
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one in."""
        self._lock.release()


def test_failed_login_is_shared_by_all_who_waited_for_it(server: Server, kept: ClientToken) -> None:
    """A dead server costs a crowd of threads one time-out, not one after another; who comes later tries anew."""
    lock = CountingLock()
    kept._lock = lock  # type: ignore[assignment]  # the moment at which everybody waits must be seen
    server.failures[LOGIN] = StoreUnavailableError("no answer")
    told: list[str] = []

    def want() -> None:
        try:
            kept.current()
        except StoreUnavailableError as error:
            told.append(str(error))

    threads = [Thread(target=want) for _ in range(5)]

    def gather_a_crowd(_path: str) -> None:
        server.on_ask = lambda _: None
        for thread in threads:
            thread.start()
        for _ in (*threads, current_thread()):
            assert lock.came.acquire(timeout=10)

    server.on_ask = gather_a_crowd
    want()
    for thread in threads:
        thread.join()
    assert told == ["no answer"] * 6
    assert server.paths() == [LOGIN]
    want()
    assert server.paths() == [LOGIN]


def test_login_recovers(server: Server, kept: ClientToken) -> None:
    """A login that failed is tried again by the next who comes."""
    server.failures[LOGIN] = StoreUnavailableError("no answer")
    with pytest.raises(StoreUnavailableError):
        kept.current()
    server.failures.clear()
    assert kept.current().reveal() == "t1"


def test_login_without_a_client_token_is_refused(clock: FakeClock) -> None:
    """An answer that grants nothing names what to look at."""
    login = AppRoleLogin(role_id=lambda: SecretText("role"), secret_id=lambda: SecretText("secret"))
    kept = ClientToken(login, lambda _path, _body, _token: {}, clock)
    with pytest.raises(StoreRefusedError, match="check the auth method and its mount"):
        kept.current()


@pytest.mark.parametrize(("ttl", "lasts"), [(0, timedelta(days=1000)), (60, timedelta(seconds=39))])
def test_client_token_from_elsewhere_is_looked_up(server: Server, clock: FakeClock, ttl: int, lasts: timedelta) -> None:
    """A client token without an end is not asked about again; one with an end is renewed in time."""
    server.lease = ttl
    kept = ClientToken(TokenLogin(token=lambda: SecretText("given")), server.post, clock)
    kept.current()
    clock.advance(lasts)
    assert kept.current().reveal() == "given"
    assert server.paths() == ["auth/token/lookup-self"]
