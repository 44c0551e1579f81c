"""The simulated cluster's state: what is kept, who is believed, and what can be made to go wrong."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import PREFIX_LENGTH
from tests.fakes.clock import FakeClock

DAY = timedelta(days=1)
LAG = timedelta(minutes=1)


@pytest.fixture
def cluster(tmp_path: Path, clock: FakeClock) -> Cluster:
    """Give an empty cluster whose time is the test's."""
    return Cluster(tmp_path / "cluster", clock.now)


def test_created_token_is_listed_and_believed(cluster: Cluster, clock: FakeClock) -> None:
    """A new token carries what was asked for, is on the list, and works at once."""
    token, string = cluster.create("Telegraf", clock.now() + DAY)
    assert cluster.tokens() == (token,)
    assert (token.description, token.created_at, token.expires_at) == ("Telegraf", clock.now(), clock.now() + DAY)
    assert string.startswith("M.V1.")
    assert token.prefix == string[:PREFIX_LENGTH]
    assert cluster.authenticate(string)
    assert not cluster.authenticate(string + "x")


def test_no_string_is_kept(cluster: Cluster, tmp_path: Path) -> None:
    """No file holds more of a token's string than the prefix that the list shows."""
    _, string = cluster.create("Telegraf", None)
    kept = "".join(path.read_text() for path in (tmp_path / "cluster").iterdir())
    assert string[:PREFIX_LENGTH] in kept
    assert string[: PREFIX_LENGTH + 1] not in kept
    assert string[PREFIX_LENGTH:] not in kept


def test_state_outlives_the_process(cluster: Cluster, clock: FakeClock, tmp_path: Path) -> None:
    """Whoever opens the same directory sees the same tokens and the same knobs."""
    token, string = cluster.create("Telegraf", clock.now() + DAY)
    cluster.set(style="camel")
    again = Cluster(tmp_path / "cluster", clock.now)
    assert again.tokens() == (token,)
    assert again.authenticate(string)
    assert again.knobs().style == "camel"


def test_token_ends_at_its_expiry(cluster: Cluster, clock: FakeClock) -> None:
    """A token works until its expiry and not from then on; one without an expiry goes on."""
    _, mortal = cluster.create("mortal", clock.now() + DAY)
    _, immortal = cluster.create("immortal", None)
    clock.advance(DAY - timedelta(seconds=1))
    assert cluster.authenticate(mortal)
    clock.advance(timedelta(seconds=1))
    assert not cluster.authenticate(mortal)
    assert cluster.authenticate(immortal)


def test_revoked_token_stays_on_the_list(cluster: Cluster, clock: FakeClock) -> None:
    """Revoking ends a token for good and leaves it listed; a second time changes nothing."""
    token, string = cluster.create("Telegraf", None)
    moment = clock.now()
    assert cluster.revoke(token.token_id)
    clock.advance(DAY)
    assert cluster.revoke(token.token_id)
    assert not cluster.authenticate(string)
    assert [listed.revoked_at for listed in cluster.tokens()] == [moment]


def test_unknown_token_is_not_revoked(cluster: Cluster) -> None:
    """An id that nobody has is said to be missing, and ends nobody else's token."""
    _, string = cluster.create("Telegraf", None)
    assert not cluster.revoke("8c1f2f0e-4d5a-4c11-9d3e-2f5f1c7b9a10")
    assert cluster.authenticate(string)


def test_activation_lag_holds_back_a_new_token(cluster: Cluster, clock: FakeClock) -> None:
    """With the knob set, a token is on the list at once and works when the lag is over."""
    cluster.set(activation_lag=LAG.total_seconds())
    token, string = cluster.create("Telegraf", None)
    assert cluster.tokens() == (token,)
    clock.advance(LAG - timedelta(seconds=1))
    assert not cluster.authenticate(string)
    clock.advance(timedelta(seconds=1))
    assert cluster.authenticate(string)


def test_stale_list_shows_the_past(cluster: Cluster, clock: FakeClock) -> None:
    """With the knob set, the list shows neither a new token nor a new revocation until the lag is over."""
    old, string = cluster.create("old", None)
    clock.advance(LAG)
    cluster.set(stale_list=LAG.total_seconds())
    cluster.revoke(old.token_id)
    new, _ = cluster.create("new", None)
    assert cluster.tokens() == (old,)
    assert not cluster.authenticate(string), "only the list is late"
    clock.advance(LAG)
    assert [token.token_id for token in cluster.tokens()] == [old.token_id, new.token_id]
    assert [token.revoked_at is not None for token in cluster.tokens()] == [True, False]


def test_counted_knob_is_used_up(cluster: Cluster) -> None:
    """A count goes down to nothing, and no other knob moves with it."""
    cluster.set(fail_create=2, fail_list=1)
    assert [cluster.take("fail_create") for _ in range(3)] == [True, True, False]
    assert cluster.knobs().fail_create == 0
    assert cluster.knobs().fail_list == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_full_disk_keeps_what_was_there(cluster: Cluster, tmp_path: Path) -> None:
    """With the knob set nothing is created or revoked, the system says why, and the file is as it was."""
    token, string = cluster.create("Telegraf", None)
    state = tmp_path / "cluster" / "state.json"
    before = state.read_bytes()
    cluster.set(disk_full=True)
    with pytest.raises(OSError, match="No space left"):
        cluster.create("more", None)
    with pytest.raises(OSError, match="No space left"):
        cluster.revoke(token.token_id)
    assert state.read_bytes() == before
    assert Path("/dev/full").is_char_device()
    cluster.set(disk_full=False)
    assert cluster.authenticate(string)


def test_unknown_knob_is_refused(cluster: Cluster) -> None:
    """A misspelt knob is an error, and sets nothing."""
    before = cluster.knobs()
    with pytest.raises(TypeError, match="fail_creates"):
        cluster.set(fail_creates=1)
    assert cluster.knobs() == before


def test_many_at_once_lose_nothing(cluster: Cluster) -> None:
    """Every token that is created at the same time as others is kept, and a count is used up exactly."""
    cluster.set(fail_create=5)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cluster.create(f"token {number}", None), range(40)))
        taken = list(pool.map(lambda _: cluster.take("fail_create"), range(40)))
    assert {token.description for token in cluster.tokens()} == {f"token {number}" for number in range(40)}
    assert taken.count(True) == 5
