"""Fail points in the command itself: real death where one is set, and nothing of them where none is."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.app import opened
from provisioner.engine.observed import ObservedIssuer, ObservedStore
from provisioner.settings.fail_point import VARIABLE
from provisioner.simulators.openbao import OpenBao
from tests.site import Site, a_site

MODULE = "provisioner.runtime.fail_points"


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site."""
    return a_site(tmp_path, openbao)


def test_the_command_dies_and_says_where(site: Site) -> None:
    """The installed command, started as a user starts it, dies of SIGKILL; nothing was created yet."""
    died = site.run("once", PROVISIONER_FAIL_POINT="issuer.create:before")
    assert died.status == -signal.SIGKILL
    assert died.errors.endswith('{"event": "fail_point_met", "point": "issuer.create:before"}\n')
    assert site.live("telegraf") == []
    died = site.run("once", PROVISIONER_FAIL_POINT="store.read:after:2")
    assert died.status == -signal.SIGKILL
    assert site.stored("telegraf")["token_id"] == site.live("telegraf")[0].token_id


def test_a_point_that_is_not_reached_kills_nobody(site: Site) -> None:
    """A rotation writes once."""
    assert site.run("once", PROVISIONER_FAIL_POINT="store.write:before:2").status == 0


def test_what_it_cannot_mean_ends_with_status_2(site: Site) -> None:
    """Nothing has been asked of anybody by then."""
    refused = site.run("once", PROVISIONER_FAIL_POINT="store.write")
    assert refused.status == 2
    assert refused.errors.startswith("error: PROVISIONER_FAIL_POINT must be")
    assert site.cluster.tokens() == ()


def test_without_it_nothing_of_it_is_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a wrapper in the chain nor the module in memory; both are there when it is set."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with opened(site.config) as application:
        assert {type(issuer) for issuer in application.world.issuers.values()} == {ObservedIssuer}
        assert {type(store) for store in application.world.stores.values()} == {ObservedStore}
    monkeypatch.setenv(VARIABLE, "store.write:before")
    with opened(site.config) as application:
        wrapped = [*application.world.issuers.values(), *application.world.stores.values()]
        assert {type(port).__module__ for port in wrapped} == {MODULE}


@pytest.mark.parametrize("point", [None, "store.write:before"])
def test_the_module_is_imported_only_where_it_is_used(point: str | None, site: Site) -> None:
    """A fresh interpreter that has opened the configuration holds it only where the variable is set."""
    program = (
        "import sys; from pathlib import Path; from provisioner.app import opened\n"
        f"with opened(Path({str(site.config)!r})): print({MODULE!r} in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={VARIABLE: point} if point else {},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{point is not None}\n"
