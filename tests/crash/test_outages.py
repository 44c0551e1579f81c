"""Outages of real servers around the real daemon: a store that is killed or sealed, a network that fails, a full disk.

After each the daemon comes to rest by itself, and what the store and the cluster have kept shows that no promise was
broken meanwhile: see ``watched.at_work``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event

import pytest

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.management_api import ManagementApi
from tests.crash.durable_openbao import DurableOpenBao
from tests.crash.history import Bystanders, check_promises, created_between, tokens_of, versions
from tests.crash.proxy import Proxy, a_proxy, cut
from tests.crash.watched import NAME, OVERLAP, TIMES, at_work, come_to_rest, leave, said, wait_for_more
from tests.site import Site, a_site

LOOKS = 2
"""How often the daemon has looked and found a store away, before it comes back."""


@pytest.fixture(scope="module")
def one_bao() -> Iterator[DurableOpenBao]:
    """Give a server for this module."""
    with DurableOpenBao() as server:
        yield server


@pytest.fixture
def bao(one_bao: DurableOpenBao) -> DurableOpenBao:
    """Give the server, running and unsealed, whatever the test before did to it."""
    one_bao.heal()
    return one_bao


@pytest.fixture
def site(tmp_path: Path, bao: DurableOpenBao) -> Iterator[Site]:
    """Give a site whose token is rotated every few seconds and proven by use."""
    site = a_site(tmp_path, bao, NAME, defaults=TIMES)
    site.content["reconcile"]["interval"] = "1s"
    site.content["stores"]["vault"]["timeout"] = "1s"
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"] |= {"management_api": api.url, "timeout": "2s"}
        yield site


@pytest.fixture
def proxy(site: Site, bao: DurableOpenBao) -> Iterator[Proxy]:
    """Give the way to the store, on which things can be made to happen."""
    with a_proxy(bao.port) as proxy:
        site.content["stores"]["vault"]["address"] = proxy.address
        yield proxy


@contextmanager
def the_store_away(site: Site, bao: DurableOpenBao) -> Iterator[None]:
    """Take the store away inside; it comes back when the daemon has looked for it, and has created nothing since."""
    looks = said(site, "truth_is_unreadable", NAME)
    yield
    since = SystemClock().now()
    wait_for_more(site, "truth_is_unreadable", NAME, than=looks + LOOKS)
    assert created_between(site, NAME, since, SystemClock().now()) == []
    bao.heal()


def test_store_is_killed_before_the_commit(site: Site, bao: DurableOpenBao) -> None:
    """A token is created and not stored yet: it is stored when the store is back, or given up and revoked."""
    with at_work(site, NAME) as work:
        site.cluster.set(activation_lag=1)  # so long it takes to prove it
        created = said(site, "token_created", NAME)
        work.hurry()
        wait_for_more(site, "token_created", NAME, than=created)
        with the_store_away(site, bao):
            bao.kill()
            site.cluster.set(activation_lag=0)
        assert said(site, "step_failed", "the store did not take the new token in time", "cannot be reached") > 0


@pytest.mark.parametrize("way", ["killed, write lost", "killed, answer lost", "sealed"])
def test_store_goes_at_the_commit(site: Site, bao: DurableOpenBao, proxy: Proxy, way: str) -> None:
    """The write was sent when the store goes: it did not arrive, or it landed and nobody said so."""
    gone: list[datetime] = []

    def go() -> None:
        bao.seal() if way == "sealed" else bao.kill()
        gone.append(SystemClock().now())
        if way == "killed, answer lost":
            cut()

    with at_work(site, NAME) as work:
        with the_store_away(site, bao):
            proxy.at("POST", f"data/{site.path(NAME)}", go, answered=way == "killed, answer lost")
            work.hurry()
            site.wait_for("the end of the store", lambda: gone)
        # A killed store is sealed, too, from its start until it is unsealed.
        assert way != "sealed" or said(site, "truth_is_unreadable", NAME, "sealed: unseal it") > 0


def test_store_is_sealed_before_anything(site: Site, bao: DurableOpenBao) -> None:
    """Nothing is created, every command says why and fails; the daemon begins when the store is unsealed."""
    bao.seal()
    for command in ("once", "status"):
        ran = site.run(command, "--output", "json")
        assert ran.status == 1
        (token,) = ran.json["tokens"]
        assert token["state"] == "unknown"
        assert "sealed" in token["reason"]
    assert "unseal it" in site.run("check").output
    assert site.cluster.tokens() == ()
    bao.heal()
    bystanders = Bystanders(site)
    bao.seal()
    with site.daemon() as process:
        wait_for_more(site, "truth_is_unreadable", NAME, "sealed", than=LOOKS)
        assert tokens_of(site, NAME) == ()
        bao.heal()
        come_to_rest(site, NAME)
        leave(process)
    check_promises(site, NAME, bystanders=bystanders, overlap=OVERLAP)


def test_network_fails_around_the_write(site: Site, proxy: Proxy) -> None:
    """Of four names one loses a write, one an answer; a write comes late; all writes hang until given up."""
    names = ("early", "late", "slow", "stuck")
    (token,) = site.content["tokens"]
    (place,) = token["destinations"]
    site.content["tokens"] = [
        token | {"name": name, "destinations": [place | {"path": site.path(name)}]} for name in names
    ]
    arrive = Event()

    def hold() -> None:
        arrive.wait(60)

    def hold_all() -> None:
        if not arrive.is_set():
            proxy.at("POST", f"data/{site.path('stuck')}", hold_all, answered=False)
        hold()

    acts: dict[str, Callable[[], None]] = {"early": cut, "late": cut, "slow": hold, "stuck": hold_all}
    try:
        with at_work(site, *names) as work:
            done = {name: said(site, "rotation_finished", f'"{name}"') for name in names}
            happened = {
                name: proxy.at("POST", f"data/{site.path(name)}", act, answered=name == "late")
                for name, act in acts.items()
            }
            work.hurry()
            for name in ("early", "late", "slow"):
                site.wait_for(f"the fault of {name}", happened[name].is_set)
                wait_for_more(site, "rotation_finished", f'"{name}"', than=done[name])
            wait_for_more(site, "step_failed", '"stuck"', "no answer within 1 s", than=0)
            arrive.set()  # writes that nobody waits for any more arrive now
    finally:
        arrive.set()


def test_answers_of_the_cluster_are_lost(site: Site, proxy: Proxy) -> None:
    """A create whose answer is cut, comes as an error, or never comes leaves a token that is revoked."""
    proxy.at("GET", f"data/{site.path(NAME)}", lambda: site.cluster.set(cut_output=1), answered=True)
    with at_work(site, NAME) as work:  # the list is read before the store: so it is the first create that was cut
        assert said(site, "step_failed", "creating a token", "output was not understood") == 1
        for knob, why in {"lose_answer": "EOF", "hang_create": "did not end within 2 s"}.items():
            site.cluster.set(**{knob: 1})
            work.hurry()
            wait_for_more(site, "step_failed", "creating a token", why, than=0)
    lost = 3
    assert len(tokens_of(site, NAME)) >= lost + len({version.token_id for version in versions(site, NAME)}) - 1


def test_disk_of_the_cluster_is_full(site: Site, proxy: Proxy) -> None:
    """Neither creating nor revoking is possible for a while: nothing is lost, and later everything is made up for."""
    state = site.folder / "cluster" / "state.json"
    with at_work(site, NAME) as work:
        full = proxy.at(
            "POST", f"data/{site.path(NAME)}", lambda: site.cluster.set(disk_full=True), answered=True
        )  # at a commit: its predecessor lives, and the next rotation comes
        work.hurry()
        site.wait_for("the full disk", lambda: full.is_set() and site.cluster.knobs().disk_full)
        before, stored = state.read_bytes(), site.stored(NAME)
        for doing in ("revoking", "creating a token"):
            wait_for_more(site, "step_failed", doing, "No space left on device", than=0)
        assert state.read_bytes() == before
        assert site.stored(NAME) == stored
        assert site.cluster.authenticate(stored["token"])
        site.cluster.set(disk_full=False)


def test_person_revokes_under_a_running_daemon(site: Site) -> None:
    """The stored token and a predecessor are revoked by hand: a new one is made, and nobody has to help."""
    excused: set[str] = set()
    with at_work(site, NAME, excused=excused) as work:
        revoked = site.stored(NAME)["token_id"]
        excused.add(revoked)
        site.cluster.revoke(revoked)
        site.wait_for("a new token", lambda: site.stored(NAME)["token_id"] != revoked)
        assert said(site, "rotation_started", "stored_token_is_dead", "was revoked at") > 0
        come_to_rest(site, NAME)
        old = site.stored(NAME)["token_id"]
        work.hurry()
        site.wait_for("a successor", lambda: site.stored(NAME)["token_id"] != old)
        excused.add(old)
        site.cluster.revoke(old)
        work.calm()
        come_to_rest(site, NAME)
