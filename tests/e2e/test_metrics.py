"""Every metric of a daemon that really rotates is seen to move, on a real OpenBao and a simulated Kubernetes."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from provisioner.domain.mark import Mark, Owner
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.kubernetes import Key
from provisioner.simulators.kubernetes_server import NAMESPACE, KubernetesServer
from provisioner.simulators.openbao import OpenBao
from provisioner.telemetry import names
from provisioner.telemetry.metrics import HELP
from tests.builders import uid
from tests.crash.two_replicas import Replica, a_replica
from tests.fakes.webhook_receiver import Receiver
from tests.leaks.search import assert_untold
from tests.site import COMMAND, Site, a_site

LEASE = Key("leases", NAMESPACE, "provisioner")
RESTART = {"restart": {"kind": "Deployment", "namespace": "telegraf", "name": "telegraf"}}
TELEGRAF = ("telegraf",)
CANNOT_MOVE = {names.BUILD_INFO}
Samples = dict[tuple[str, tuple[str, ...]], float]


def parsed(text: str) -> Samples:
    """Give what a scrape tells, by name and the values of the labels in alphabetical order of these."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("provisioner_") and not sample.name.endswith("_created")
    }


class Scraper:
    """Scrapes a daemon, and keeps all that it was told."""

    def __init__(self, site: Site, client: httpx.Client) -> None:
        self._site, self._client = site, client
        self.seen: list[Samples] = []

    def now(self) -> Samples:
        """Scrape once."""
        answer = self._client.get("/metrics")
        assert answer.status_code == 200
        self.seen.append(parsed(answer.text))
        return self.seen[-1]

    def wait_for(self, what: str, has_come: Callable[[Samples], bool]) -> Samples:
        """Scrape until something has come; what is not there counts as nothing."""
        self._site.wait_for(what, lambda: has_come(self.now()), seconds=60)
        return self.seen[-1]

    def moved(self) -> set[str]:
        """Give the metrics of which one number was another at another time; a new one has moved from nothing."""
        keys = {key for samples in self.seen for key in samples}
        changed = {name for name, labels in keys if len({samples.get((name, labels)) for samples in self.seen}) > 1}
        return {names.ROTATION_DURATION if name.startswith(names.ROTATION_DURATION) else name for name in changed}


@pytest.fixture
def server() -> Iterator[KubernetesServer]:
    """Give a simulated API server with one Deployment."""
    with KubernetesServer() as server:
        server.cluster.add_workload("deployments", "telegraf", "telegraf")
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a webhook's receiver."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao, receiver: Receiver) -> Site:
    """Give a site with leader election, whose one token is followed by a restart and a webhook."""
    (tmp_path / "site").mkdir()
    site = a_site(tmp_path / "site", openbao)
    (site.folder / "hmac-key").write_text("hmac-key-of-the-tests-zq7")
    webhook = {"url": receiver.url, "hmac_key": {"file": str(site.folder / "hmac-key")}}
    give_a_vault_token(site)
    site.content["reconcile"] = {"interval": "1s"}
    site.content["defaults"] = {
        "overlap": "1s",
        "verify_timeout": "3s",
        "rotation_timeout": "3s",
        "orphan_quiet_period": "4s",
    }
    site.content["tokens"][0]["on_rotate"] = [RESTART, {"webhook": webhook}]
    site.content["leader_election"] = {
        "enabled": True,
        "lease_duration": "15s",
        "renew_deadline": "10s",
        "retry_period": "0.5s",
    }
    return site


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A daemon that runs."""

    scraper: Scraper
    socket: str


@pytest.fixture
def daemon(site: Site, server: KubernetesServer) -> Iterator[Daemon]:
    """Run a daemon that follows, as somebody else holds the lease."""
    spec = {"holderIdentity": "somebody-else_1", "leaseDurationSeconds": 3600, "leaseTransitions": 6}
    server.cluster.create("leases", NAMESPACE, {"metadata": {"name": "provisioner"}, "spec": spec})
    with a_replica(site, server) as replica:
        site.wait_for("following", lambda: is_following(replica))
        port, socket = (str(entry["where"]) for entry in replica.said("api_listening"))
        with httpx.Client(base_url=f"http://{port}", timeout=20) as client:
            yield Daemon(scraper=Scraper(site, client), socket=socket)
        replica.stop(signal.SIGTERM)
        assert replica.process.wait(30) == 0
    assert "is a bug" not in site.log()


def is_following(replica: Replica) -> bool:
    """Tell whether a daemon listens, and has seen who leads."""
    return bool(replica.said("leader_seen")) and len(replica.said("api_listening")) == 2


def test_every_metric_moves(site: Site, server: KubernetesServer, receiver: Receiver, daemon: Daemon) -> None:
    """By what really happens: leading, rotating, failing, waiting for a revocation, leaving an orphan."""
    began = SystemClock().now().timestamp()
    scraper = daemon.scraper
    followed = scraper.now()
    assert (followed[names.LEADER, ()], followed[names.LAST_RECONCILE, ()]) == (0, 0)
    assert {value for (name, _), value in followed.items() if name == names.BUILD_INFO} == {1}
    assert (names.TOKEN_EXPIRY, TELEGRAF) not in followed
    receiver.answers = [500]
    server.cluster.change(LEASE, lambda found: found["spec"].update(holderIdentity=""))
    rotated = follow_a_rotation(scraper, began)
    failed = fail_once(site, daemon)
    assert failed[names.TOKEN_EXPIRY, TELEGRAF] == rotated[names.TOKEN_EXPIRY, TELEGRAF]
    late = revoke_late(site, daemon)
    for name in (names.TOKEN_EXPIRY, names.TOKEN_NEXT_ROTATION):
        assert late[name, TELEGRAF] > rotated[name, TELEGRAF]
    leave_an_orphan(site, scraper)
    be_refused(site, scraper)
    assert scraper.moved() == set(HELP) - CANNOT_MOVE - {names.EVENTS_LOST}
    assert_untold(site.stored("telegraf")["token"], str(scraper.seen))


def follow_a_rotation(scraper: Scraper, began: float) -> Samples:
    """The first token, with all that follows it."""
    scraper.wait_for("the lead", lambda seen: seen[names.LEADER, ()] == 1)
    told = (names.CONSUMER_REQUESTS, ("webhook", "deliver", "ok"))
    seen = scraper.wait_for("all that follows", lambda seen: seen.get(told) == 1)
    assert seen[names.ROTATIONS, ("telegraf", "secret_is_missing", names.DONE)] == 1
    assert seen[names.CONSUMER_REQUESTS, ("webhook", "deliver", "NotificationFailedError")] == 1
    assert seen[names.CONSUMER_REQUESTS, ("Deployment", "restart", "ok")] == 1
    assert seen[names.CONSUMER_REQUESTS, ("Deployment", "read", "ok")] >= 1
    assert seen[names.STORE_REQUESTS, ("write", "ok", "vault")] == 1
    assert seen[names.ISSUER_REQUESTS, ("cluster", "create", "ok")] == 1
    for phase in ("preflight", "create", "prove", "commit", "read_back", names.ALL_PHASES):
        assert seen[f"{names.ROTATION_DURATION}_count", (phase,)] == 1
    seen = scraper.wait_for("a look at all", lambda seen: seen[names.LAST_RECONCILE, ()] > began)
    assert seen[names.TOKEN_EXPIRY, TELEGRAF] > seen[names.TOKEN_NEXT_ROTATION, TELEGRAF] > began
    expires_at = SystemClock().now() + timedelta(days=30)
    assert abs(seen[names.TOKEN_EXPIRY, TELEGRAF] - expires_at.timestamp()) < 120
    return seen


def fail_once(site: Site, daemon: Daemon) -> Samples:
    """A rotation by hand that the issuer does not carry out."""
    site.cluster.set(fail_create=1)
    assert site.run("rotate", "telegraf", "--socket", daemon.socket).status == 1
    seen = daemon.scraper.now()
    assert seen[names.ROTATIONS, ("telegraf", "trigger_is_pending", names.FAILED)] == 1
    assert sum(value for key, value in seen.items() if is_failure(key, names.ISSUER_REQUESTS, "create")) == 1
    assert seen[names.AWAITING_REVOCATION, TELEGRAF] == 0
    return seen


def revoke_late(site: Site, daemon: Daemon) -> Samples:
    """One that is carried out, whose predecessor cannot be revoked in time."""
    site.cluster.set(fail_revoke=10_000)
    assert site.run("rotate", "telegraf", "--socket", daemon.socket).status == 0
    late = daemon.scraper.wait_for("a late one", lambda seen: seen[names.REVOCATIONS_OVERDUE, TELEGRAF] == 1)
    assert late[names.AWAITING_REVOCATION, TELEGRAF] == 1
    site.cluster.set(fail_revoke=0)
    done = daemon.scraper.wait_for("its end", lambda seen: seen[names.AWAITING_REVOCATION, TELEGRAF] == 0)
    assert done[names.REVOCATIONS_OVERDUE, TELEGRAF] == 0
    assert done[names.ISSUER_REQUESTS, ("cluster", "revoke", "ok")] == 1
    return late


def leave_an_orphan(site: Site, scraper: Scraper) -> None:
    """A token of a name that is configured no more, until somebody has it revoked."""
    assert scraper.now()[names.ORPHAN_TOKENS, ("cluster",)] == 0
    described = Mark(Owner("e2e", "gone"), uid(7)).described("left over")
    site.cluster.create(described, SystemClock().now() + timedelta(hours=1))
    scraper.wait_for("the orphan", lambda seen: seen[names.ORPHAN_TOKENS, ("cluster",)] == 1)
    site.run("orphans", "--revoke")
    scraper.wait_for("its end", lambda seen: seen[names.ORPHAN_TOKENS, ("cluster",)] == 0)


def give_a_vault_token(site: Site) -> None:
    """Let the daemon log in by a token that can end without anybody else's."""
    client = site.vault()
    made = client.auth.token.create(policies=["root"], no_parent=True, ttl="1h")
    client.session.close()
    (site.folder / "vault-token").write_text(made["auth"]["client_token"])


def be_refused(site: Site, scraper: Scraper) -> None:
    """By the store, whose token ends, until there is another."""
    refused, ok = ((names.STORE_REQUESTS, ("read", result, "vault")) for result in ("StoreRefusedError", "ok"))
    client = site.vault()
    client.auth.token.revoke((site.folder / "vault-token").read_text())
    client.session.close()
    scraper.wait_for("a refusal", lambda seen: seen.get(refused, 0) >= 1)
    give_a_vault_token(site)
    read = scraper.now()[ok]
    scraper.wait_for("its end", lambda seen: seen[ok] > read)


def is_failure(key: tuple[str, tuple[str, ...]], name: str, operation: str) -> bool:
    """Tell whether a number is that of failures of an operation."""
    return key[0] == name and operation in key[1] and "ok" not in key[1]


def test_events_that_cannot_be_logged_are_counted(tmp_path: Path, openbao: OpenBao) -> None:
    """With a disk that is full from the first line on; the token is stored all the same."""
    site = a_site(tmp_path, openbao)
    environment = {"PATH": os.defpath, "PROVISIONER_CONFIG": str(site.config)}
    transport = httpx.HTTPTransport(uds=str(site.folder / "admin.sock"))
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        subprocess.Popen([str(COMMAND), "run"], env=environment, stdout=full, stderr=full, cwd=tmp_path) as process,
        httpx.Client(base_url="http://daemon", transport=transport, timeout=20) as client,
    ):
        try:
            site.wait_for("the socket", (site.folder / "admin.sock").exists)
            scraper = Scraper(site, client)
            done = (names.ROTATIONS, ("telegraf", "secret_is_missing", names.DONE))
            seen = scraper.wait_for("the token", lambda seen: seen.get(done) == 1)
            assert seen[names.EVENTS_LOST, ()] >= 3
            assert site.stored("telegraf")["token_id"]
        finally:
            process.kill()
