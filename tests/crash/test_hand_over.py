"""Two real daemons, of which one leads: it is stopped, and killed, in mid-rotation; the other takes over in time."""

import signal
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.kubernetes_server import KubernetesServer
from provisioner.simulators.management_api import ManagementApi
from tests.crash.durable_openbao import DurableOpenBao
from tests.crash.history import Bystanders, check_promises, is_at_rest, tokens_of
from tests.crash.two_replicas import Replica, a_replica, holder, lease
from tests.site import Site, a_site

NAMES = ("one", "two")
OVERLAP = timedelta(seconds=2)
LIVES = {
    "ttl": "2m",
    "rotate_at": 0.07,
    "overlap": f"{OVERLAP.seconds}s",
    "verify_timeout": "5s",
    "rotation_timeout": "6s",
    "orphan_quiet_period": "8s",
}
"""Rotated every few seconds, and yet no token ends while nobody leads."""
HAND_OVER_WITHIN = 20.0
LEASE_RULES = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}]


def a_site_with_election(folder: Path, bao: DurableOpenBao, stack: ExitStack) -> Site:
    """Give a site whose daemons elect a leader, with times as they are by default."""
    site = a_site(folder, bao, *NAMES, defaults=LIVES)
    site.content["issuers"]["cluster"]["management_api"] = stack.enter_context(ManagementApi(site.cluster)).url
    site.content["leader_election"] = {"enabled": True}
    return site


def acts(replica: Replica) -> int:
    """Count what a replica has begun to do."""
    return len(replica.said("rotation_started")) + len(replica.said("token_revoked"))


def wait_until_leads(site: Site, server: KubernetesServer, replica: Replica, since: float) -> float:
    """Wait until a replica leads, by its own word and by the lease; give how long that took."""
    site.wait_for("leading", lambda: replica.identity() is not None and holder(server) == replica.identity())
    return SystemClock().monotonic() - since


def wait_until_in_mid_rotation(site: Site, replica: Replica) -> None:
    """Let new tokens take a second until they work, and wait until a replica has created one."""
    site.cluster.set(activation_lag=1.0)
    created = len(replica.said("token_created"))
    site.wait_for("mid-rotation", lambda: len(replica.said("token_created")) > created)


def begun_since(site: Site, replica: Replica, moment: datetime) -> list[str]:
    """Tell which tokens a replica made since, or revoked, but not what it had made in vain and takes back."""
    started = {entry["rotation_id"] for entry in replica.said("rotation_started")}
    revoked, created, stored = (
        {entry["token_id"] for entry in replica.said(f"token_{what}")} for what in ("revoked", "created", "stored")
    )
    tokens = [token for name in NAMES for token in tokens_of(site, name)]
    made = [
        token.token_id
        for token in tokens
        if token.created_at > moment and any(rotation_id in token.description for rotation_id in started)
    ]
    ended = [
        token.token_id
        for token in tokens
        if token.token_id in revoked - (created - stored) and (token.revoked_at or moment) > moment
    ]
    return made + ended


@pytest.mark.slow
def test_hands_over_when_the_leader_is_stopped_and_when_it_is_killed_in_mid_rotation(tmp_path: Path) -> None:
    """In less than 20 s each; nobody rotates beside the leader, and every promise is kept."""
    clock = SystemClock()
    (tmp_path / "site").mkdir()
    with ExitStack() as stack:
        bao = stack.enter_context(DurableOpenBao())
        server = stack.enter_context(KubernetesServer())
        server.allow_only(LEASE_RULES)
        site = a_site_with_election(tmp_path / "site", bao, stack)
        bystanders = Bystanders(site)
        first, second = (stack.enter_context(a_replica(site, server)) for _ in range(2))
        site.wait_for("a leader", lambda: holder(server) in {first.identity(), second.identity()} - {None})
        if holder(server) == second.identity():
            first, second = second, first
        site.wait_for("rotations", lambda: len(first.said("rotation_finished")) > len(NAMES))
        assert acts(second) == 0

        wait_until_in_mid_rotation(site, first)
        stopped_at = clock.monotonic()
        first.stop(signal.SIGSTOP)
        site.cluster.set(activation_lag=0.0)
        assert wait_until_leads(site, server, second, stopped_at) < HAND_OVER_WITHIN
        site.wait_for("work of the second", lambda: len(second.said("rotation_finished")) > len(NAMES))
        woken_at = clock.now()
        first.stop(signal.SIGCONT)
        site.wait_for("the first to step down", lambda: len(first.said("leadership_lost")) == 1)
        site.wait_for("the first to follow", lambda: bool(first.said("leader_seen")))

        site.wait_for("work beside it", lambda: len(second.said("rotation_finished")) > 2 * len(NAMES))
        assert begun_since(site, first, woken_at) == [], "it woke up in mid-rotation, and began something new"
        wait_until_in_mid_rotation(site, second)
        killed_at = clock.monotonic()
        second.stop(signal.SIGKILL)
        assert begun_since(site, first, woken_at) == [], "a follower acted"
        site.cluster.set(activation_lag=0.0)
        site.wait_for("the first again", lambda: holder(server) == first.identity())
        assert clock.monotonic() - killed_at < HAND_OVER_WITHIN
        site.wait_for("its word", lambda: len(first.said("leadership_gained")) >= 2)
        assert len(first.said("leadership_gained")) == 2
        site.content["defaults"] = LIVES | {"rotate_at": 0.9}
        _ = site.config
        first.stop(signal.SIGHUP)
        for name in NAMES:
            site.wait_for(f"rest of {name}", lambda name=name: is_at_rest(site, name))
        assert lease(server)["leaseTransitions"] == 2

        first.stop(signal.SIGTERM)
        assert first.process.wait(30) == 0
        assert holder(server) is None, "the lease was not released"
        assert lease(server)["leaseDurationSeconds"] == 1
        started = [entry for replica in (first, second) for entry in replica.said("rotation_started")]
        assert sum(len(tokens_of(site, name)) for name in NAMES) <= len(started)
        check_promises(site, *NAMES, bystanders=bystanders, overlap=OVERLAP, replicas=2)
