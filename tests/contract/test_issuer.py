"""The Issuer port's promises, kept by the fake and by influxctl with both ways of proof alike."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from provisioner.domain.errors import IssuerUnavailableError, OutcomeUnknownError
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, MintedToken
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import whole_seconds
from provisioner.issuers.influxctl import InfluxctlIssuer
from provisioner.ports.clock import Clock
from provisioner.ports.issuer import Issuer
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.management_api import ManagementApi
from tests.builders import DAY, OWNER, uid
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Fault
from tests.fakes.issuer import FakeIssuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An issuer, and what a test may do behind its back."""

    issuer: Issuer
    clock: Clock
    add_foreign: Callable[[str, datetime | None], str]
    lose_next_answer: Callable[[], None]
    fail_next_list: Callable[[], None]


@pytest.fixture(params=["fake, by the list", "fake, by use", "influxctl, by the list", "influxctl, by use"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give each issuer."""
    by_use = request.param.endswith("by use")
    if request.param.startswith("fake"):
        fake = FakeIssuer(FakeClock(), proves_by_use=by_use)
        yield Bench(
            issuer=fake,
            clock=fake.clock,
            add_foreign=lambda description, expires_at: fake.add(description, expires_at)[0].token_id,
            lose_next_answer=lambda: fake.faults.add("create", Fault.AFTER),
            fail_next_list=lambda: fake.faults.add("list", Fault.BEFORE),
        )
        return
    cluster = Cluster(tmp_path / "cluster")
    with ManagementApi(cluster) as api:
        issuer = InfluxctlIssuer(
            name="cluster",
            command=[
                sys.executable,
                "-m",
                "provisioner.simulators.influxctl",
                "--simulator-state",
                str(tmp_path / "cluster"),
            ],
            timeout=timedelta(seconds=20),
            clock=SystemClock(),
            management_api=api.url if by_use else None,
        )
        yield Bench(
            issuer=issuer,
            clock=SystemClock(),
            add_foreign=lambda description, expires_at: cluster.create(description, expires_at)[0].token_id,
            lose_next_answer=lambda: cluster.set(lose_answer=1),
            fail_next_list=lambda: cluster.set(fail_list=1),
        )
        issuer.close()


def create(bench: Bench, number: int = 1) -> MintedToken:
    """Create a token of ours."""
    return bench.issuer.create(request(bench, number))


def request(bench: Bench, number: int = 1) -> CreateRequest:
    """Give what the engine would ask for."""
    mark = Mark(OWNER, uid(number))
    expires_at = whole_seconds(bench.clock.now() + DAY)
    return CreateRequest(mark=mark, description=mark.described("Telegraf"), ttl=DAY, expires_at=expires_at)


def test_create_gives_a_token_that_is_listed(bench: Bench) -> None:
    """A new token has the expiry asked for, and is listed live with its mark."""
    wanted = request(bench)
    minted = bench.issuer.create(wanted)
    listed = bench.issuer.list().find(minted.token_id)
    assert listed is not None
    assert listed.mark == wanted.mark
    assert listed.issuer == bench.issuer.name
    assert listed.is_live(bench.clock.now())
    assert minted.expires_at == listed.expires_at == wanted.expires_at
    assert listed.created_at is not None
    assert abs(listed.created_at - bench.clock.now()) < timedelta(minutes=1)


def test_each_create_is_another_token(bench: Bench) -> None:
    """Creating is not idempotent, not even with the same mark."""
    first, second = create(bench), create(bench)
    assert first.token_id != second.token_id
    assert first.token != second.token


def test_new_token_is_proven(bench: Bench) -> None:
    """A new token works; a revoked one does not."""
    minted = create(bench)
    assert bench.issuer.prove(minted.token, minted.token_id)
    listed = bench.issuer.list().find(minted.token_id)
    assert listed is not None
    bench.issuer.revoke(listed)
    assert not bench.issuer.prove(minted.token, minted.token_id)


def test_wrong_string_is_refused_where_use_proves(bench: Bench) -> None:
    """An issuer that proves by use refuses a wrong string; one that proves by the list does not look at it."""
    minted = create(bench)
    by_use = bench.issuer.list().proves_by_use
    assert bench.issuer.prove(SecretText("M.V1.wrong"), minted.token_id) is not by_use


def test_unknown_id_is_not_proven_by_the_list(bench: Bench) -> None:
    """A token that nobody issued does not count as proven."""
    create(bench)
    assert not bench.issuer.prove(SecretText("M.V1.wrong"), "no-such-id")


def test_revoked_tokens_stay_listed_or_go(bench: Bench) -> None:
    """After a revocation the token is not live any more, and revoking it again is a success."""
    minted = create(bench)
    listed = bench.issuer.list().find(minted.token_id)
    assert listed is not None
    bench.issuer.revoke(listed)
    bench.issuer.revoke(listed)
    after = bench.issuer.list().find(minted.token_id)
    assert after is None or not after.is_live(bench.clock.now())


def test_foreign_tokens_are_listed_without_our_mark(bench: Bench) -> None:
    """Other people's tokens are listed, expiring or not, and carry no mark."""
    ids = {bench.add_foreign("somebody's", None), bench.add_foreign("", bench.clock.now() + DAY)}
    listed = {token.token_id: token for token in bench.issuer.list().tokens}
    assert ids <= listed.keys()
    assert all(listed[token_id].mark is None for token_id in ids)
    assert {listed[token_id].expires_at is None for token_id in ids} == {True, False}


def test_lost_answer_of_create_is_unknown(bench: Bench) -> None:
    """A create that took effect without an answer says that nobody knows, and is on the list with its mark."""
    bench.lose_next_answer()
    with pytest.raises(OutcomeUnknownError):
        create(bench, 5)
    assert [token.mark.rotation_id for token in bench.issuer.list().tokens if token.mark] == [uid(5)]


def test_list_without_answer_is_unavailable(bench: Bench) -> None:
    """A list that fails says so, and the next one works."""
    bench.fail_next_list()
    with pytest.raises(IssuerUnavailableError):
        bench.issuer.list()
    assert bench.issuer.list().tokens == ()


def test_no_token_in_what_is_shown(bench: Bench) -> None:
    """What create gives shows no token string, however it is printed."""
    minted = create(bench)
    assert minted.token.reveal() not in f"{minted!r} {minted}"
