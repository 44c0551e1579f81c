"""The simulated cluster's three kinds of tokens, and its clock."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.simulators.cluster import OPERATOR, Cluster, NameTakenError
from provisioner.simulators.cluster_token import Kind, Permission
from tests.fakes.clock import FakeClock

DAY = timedelta(days=1)
READ = Permission(action="read", resource="metrics")


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (Kind.MANAGEMENT, r"M\.V1\.[A-Za-z0-9+/]{64}"),
        (Kind.DATABASE, r"apiv1_[A-Za-z0-9+/]{86}=="),
        (Kind.ADMIN, r"apiv3_[A-Za-z0-9_-]{86}"),
    ],
)
def test_strings_have_the_form_of_their_kind(cluster: Cluster, tmp_path: Path, kind: Kind, form: str) -> None:
    """Every kind is created, believed and listed in one state, which keeps no string of it."""
    token, string = cluster.create("Telegraf", None, kind=kind)
    assert re.fullmatch(form, string)
    assert cluster.authenticated(string) == token
    assert cluster.tokens() == cluster.tokens(kind) == (token,)
    kept = "".join(path.read_text() for path in (tmp_path / "cluster").iterdir())
    assert string[len(token.prefix) or 6 :] not in kept


def test_admin_names_are_unique_until_deleted(cluster: Cluster, clock: FakeClock) -> None:
    """A name is taken while its token is there, expired or not; numbers are never used again."""
    first, _ = cluster.create("x", clock.now() + DAY, kind=Kind.ADMIN)
    clock.advance(2 * DAY)
    with pytest.raises(NameTakenError, match="x"):
        cluster.create("x", None, kind=Kind.ADMIN)
    assert cluster.named("x") == first
    cluster.revoke(first.token_id)
    assert cluster.named("x") is None
    second, _ = cluster.create("x", None, kind=Kind.ADMIN)
    assert (first.token_id, second.token_id) == ("1", "2")


def test_other_descriptions_are_not_unique(cluster: Cluster) -> None:
    """Management and database tokens may share a description."""
    for kind in (Kind.MANAGEMENT, Kind.MANAGEMENT, Kind.DATABASE, Kind.DATABASE):
        cluster.create("x", None, kind=kind)
    assert len(cluster.tokens()) == 4


def test_operators_work_at_once_and_for_ever(cluster: Cluster, clock: FakeClock) -> None:
    """What a person made by hand was made long ago: no lag concerns it; it has no expiry, and each has its own kind."""
    cluster.set(activation_lag=DAY.total_seconds())
    management, admin = cluster.operator("management"), cluster.operator("admin")
    clock.advance(1000 * DAY)
    found = [cluster.authenticated(string) for string in (management, admin)]
    assert [token.kind for token in found if token] == [Kind.MANAGEMENT, Kind.ADMIN]
    assert [token.expires_at for token in found if token] == [None, None]


def test_second_operator_replaces_the_first_in_influxdb_3(cluster: Cluster) -> None:
    """There is one ``_admin``, number 0; management tokens made by hand live beside each other."""
    strings = [cluster.operator("admin"), cluster.operator("admin")]
    assert [cluster.authenticate(string) for string in strings] == [False, True]
    assert [(token.token_id, token.description) for token in cluster.tokens(Kind.ADMIN)] == [("0", OPERATOR)]
    strings = [cluster.operator("management"), cluster.operator("management")]
    assert [cluster.authenticate(string) for string in strings] == [True, True]


def test_permissions_are_kept_and_edited(cluster: Cluster) -> None:
    """A database token may do what its permissions say, there or everywhere; an edit leaves the rest as it was."""
    token, string = cluster.create("x", None, kind=Kind.DATABASE, permissions=(READ,))
    assert (token.may("read", "metrics"), token.may("read", "logs"), token.may("write", "metrics")) == (
        True,
        False,
        False,
    )
    edited = cluster.edit(token.token_id, permissions=(Permission(action="write", resource="*"),))
    assert edited is not None
    assert edited == cluster.find(Kind.DATABASE, token.token_id) == cluster.authenticated(string)
    assert (edited.description, edited.may("write", "logs"), edited.may("read", "metrics")) == ("x", True, False)
    assert cluster.edit("unknown", description="y") is None


def test_wrong_clock_judges_and_makes(cluster: Cluster, clock: FakeClock) -> None:
    """A clock that is ahead ends tokens early and dates them late; one that is behind lets them live on."""
    token, string = cluster.create("x", clock.now() + DAY)
    cluster.set(clock_ahead=DAY.total_seconds())
    assert not cluster.authenticate(string)
    assert cluster.create("y", None)[0].created_at == clock.now() + DAY
    cluster.revoke(token.token_id)
    assert cluster.tokens()[0].revoked_at == clock.now() + DAY
    clock.advance(2 * DAY)
    cluster.set(clock_ahead=-(3 * DAY).total_seconds())
    assert cluster.create("z", None)[0].created_at == clock.now() - 3 * DAY


def test_clock_that_is_behind_lets_a_token_live_on(cluster: Cluster, clock: FakeClock) -> None:
    """By its own clock the cluster is right."""
    _, string = cluster.create("x", clock.now() + DAY)
    clock.advance(DAY)
    assert not cluster.authenticate(string)
    cluster.set(clock_ahead=-1)
    assert cluster.authenticate(string)


def test_instance_is_kept(cluster: Cluster, tmp_path: Path) -> None:
    """The cluster's UUID is the same for all who open it, and another's is another."""
    assert Cluster(tmp_path / "cluster").instance() == cluster.instance() != Cluster(tmp_path / "other").instance()
