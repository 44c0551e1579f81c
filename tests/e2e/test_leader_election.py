"""The daemon with leader election, on a simulated Kubernetes: it follows, leads, is cut off, and leaves."""

import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from provisioner.simulators.kubernetes import Key
from provisioner.simulators.kubernetes_server import NAMESPACE, KubernetesServer
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.crash.two_replicas import a_replica, holder, is_between_passes, lease
from tests.site import Site, a_site

KEY = Key("leases", NAMESPACE, "provisioner")
OTHER = "somebody-else_1"
LEASE_DURATION = timedelta(seconds=4)


@pytest.fixture
def server() -> Iterator[KubernetesServer]:
    """Give a simulated API server."""
    with KubernetesServer() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site with leader election, whose terms are short."""
    (tmp_path / "site").mkdir()
    site = a_site(tmp_path / "site", openbao)
    site.content["reconcile"] = {"interval": "1s"}
    site.content["leader_election"] = {
        "enabled": True,
        "lease_duration": f"{LEASE_DURATION.seconds}s",
        "renew_deadline": "2s",
        "retry_period": "0.5s",
    }
    return site


def held_by_other(server: KubernetesServer, seconds: int) -> None:
    """Let somebody else hold the lease for that long."""
    spec = {"holderIdentity": OTHER, "leaseDurationSeconds": seconds, "leaseTransitions": 6}
    server.cluster.create("leases", NAMESPACE, {"metadata": {"name": "provisioner"}, "spec": spec})


def test_a_follower_does_nothing_until_the_lease_is_free_and_then_everything(
    site: Site, server: KubernetesServer
) -> None:
    """Its drift checks come and go; reads are served meanwhile; freed, it acts at once."""
    held_by_other(server, 3600)
    with a_replica(site, server) as replica:
        site.wait_for("following", lambda: len(replica.said("leader_seen")) == 1)
        asked = len(server.asked)
        site.wait_for("some looks", lambda: len(server.asked) >= asked + 6)
        status = site.run("status", "--output", "json").json["tokens"][0]
        assert (status["token_id"], status["next_step"]) == (None, "mint")
        assert site.cluster.tokens() == ()
        assert replica.said("pass_finished") == []
        server.cluster.change(KEY, lambda found: found["spec"].update(holderIdentity=""))
        site.wait_for("the token", lambda: bool(replica.said("token_stored")))
        assert replica.said("leadership_gained")[0]["transitions"] == 7
        replica.stop(signal.SIGTERM)
        assert replica.process.wait(30) == 0
        assert holder(server) is None
        assert replica.said("leadership_released")
        assert "Traceback" not in site.log()


def test_a_follower_is_ready_serves_reads_and_rotates_at_a_wish(site: Site, server: KubernetesServer) -> None:
    """It is well and ready without any pass; a rotation asked of it is carried out, and nothing else."""
    site.content["tokens"].append(
        site.content["tokens"][0] | {"name": "other", "destinations": [{"store": "vault", "path": site.path("other")}]}
    )
    held_by_other(server, 3600)
    with a_replica(site, server) as replica:
        site.wait_for("following", lambda: len(replica.said("leader_seen")) == 1)
        listening = replica.said("api_listening")
        with httpx.Client(base_url=f"http://{listening[0]['where']}", timeout=20) as client:
            assert (client.get("/healthz").status_code, client.get("/readyz").status_code) == (200, 200)
            assert "provisioner_leader 0.0" in client.get("/metrics").text
            assert client.get("/v1/tokens").json()["tokens"][0]["next_step"] == "mint"
            assert site.cluster.tokens() == ()
            ran = site.run("rotate", "telegraf", "--socket", listening[1]["where"], "--output", "json")
            (rotation,) = ran.json["rotations"]
            assert (ran.status, rotation["state"], rotation["already"]) == (0, "done", False)
            assert site.stored("telegraf")["token_id"] == rotation["token_id"]
            assert client.get("/v1/tokens/telegraf").json()["token_id"] == rotation["token_id"]
            assert "provisioner_leader 0.0" in client.get("/metrics").text
        (asked,) = replica.said("rotation_asked_for")
        assert asked["leads"] is False
        assert len(site.cluster.tokens()) == 1
        assert replica.said("pass_finished") == []


def test_a_leader_that_is_cut_off_stops_before_its_lease_ends_and_leads_again(
    site: Site, server: KubernetesServer
) -> None:
    """It says why, acts no more, and goes on when it reaches the server again."""
    with a_replica(site, server) as replica:
        site.wait_for("the token", lambda: bool(replica.said("token_stored")))
        server.knobs.cut_off.add(replica.token)
        site.wait_for("the loss", lambda: bool(replica.said("leadership_lost")))
        assert replica.said("leadership_lost")[0]["reason"] == "the lease could not be renewed for 2 s"
        lost_at = datetime.fromisoformat(replica.said("leadership_lost")[0]["timestamp"])
        assert lost_at < datetime.fromisoformat(lease(server)["renewTime"]) + LEASE_DURATION
        assert replica.said("lease_unreachable")
        site.wait_for("the end of what was under way", lambda: is_between_passes(replica))
        passes = len(replica.said("pass_finished"))
        site.delete("telegraf")
        looks = len(server.asked)
        site.wait_for("tries to lead again", lambda: len(server.asked) >= looks + 6)
        assert len(replica.said("pass_finished")) == passes
        server.knobs.cut_off.clear()
        site.wait_for("another token", lambda: len(replica.said("token_stored")) == 2)
        site.wait_for("its word", lambda: len(replica.said("leadership_gained")) == 2)
        assert replica.token not in site.log()


def test_a_leader_that_is_cut_off_in_mid_rotation_leaves_it_at_that(site: Site, server: KubernetesServer) -> None:
    """Its attempt ends with its lease, and what it made lives until it leads again: it revokes nothing meanwhile."""
    site.cluster.set(activation_lag=3600)
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with a_replica(site, server) as replica:
            site.wait_for("mid-rotation", lambda: bool(replica.said("token_created")))
            server.knobs.cut_off.add(replica.token)
            site.wait_for("the loss", lambda: bool(replica.said("leadership_lost")))
            site.wait_for("the end of the attempt", lambda: bool(replica.said("step_failed")))
            failures = len(replica.said("lease_unreachable"))
            site.wait_for("failures", lambda: len(replica.said("lease_unreachable")) > failures or failures >= 3)
            made = replica.said("token_created")[0]["token_id"]
            assert [token.token_id for token in site.live("telegraf")] == [made]
            assert replica.said("token_revoked") == []
            site.cluster.set(activation_lag=0)
            server.knobs.cut_off.clear()
            site.wait_for("the token", lambda: bool(replica.said("token_stored")))
            site.wait_for("the sweep", lambda: [each["token_id"] for each in replica.said("token_revoked")] == [made])
            assert [token.token_id for token in site.live("telegraf")] == [site.stored("telegraf")["token_id"]]
            gained = [each["timestamp"] for each in replica.said("leadership_gained")]
            assert len(gained) == 2
            assert replica.said("token_revoked")[0]["timestamp"] > gained[1]


def test_what_a_role_lacks_is_said_loudly_and_tried_again(site: Site, server: KubernetesServer) -> None:
    """The daemon stays, as a follower, and leads once it may."""
    server.allow_only([])
    with a_replica(site, server) as replica:
        site.wait_for("the refusal", lambda: bool(replica.said("lease_refused")))
        refused = replica.said("lease_refused")[0]
        assert refused["level"] == "error"
        assert "verbs get, create and update on leases" in refused["error"]
        assert replica.process.poll() is None
        server.allow_everything()
        site.wait_for("the token", lambda: bool(replica.said("token_stored")))


def test_a_reload_keeps_leading_and_says_what_it_does_not_change(site: Site, server: KubernetesServer) -> None:
    """The terms of an election hold for the process."""
    with a_replica(site, server) as replica:
        site.wait_for("the token", lambda: bool(replica.said("token_stored")))
        site.content["leader_election"]["lease_name"] = "another"
        _ = site.config
        replica.stop(signal.SIGHUP)
        site.wait_for("the reload", lambda: bool(replica.said("configuration_reloaded")))
        site.wait_for("what it does not change", lambda: bool(replica.said("leader_election_kept")))
        passes = len(replica.said("pass_finished"))
        site.wait_for("work", lambda: len(replica.said("pass_finished")) > passes)
        assert len(replica.said("leadership_gained")) == 1


def test_check_says_whether_it_could_lead(site: Site, server: KubernetesServer, tmp_path: Path) -> None:
    """One line on the lease; without a cluster it fails, and the other lines are there all the same."""
    kubeconfig = str(server.kubeconfig(tmp_path / "kubeconfig"))
    ran = site.run("check", "--output", "json", KUBECONFIG=kubeconfig)
    assert ran.status == 0
    line = ran.json["checks"][-1]
    assert (line["kind"], line["name"], line["ok"]) == ("lease", f"{NAMESPACE}/provisioner", True)
    assert line["message"] == "can be read, created and updated; there is none yet"
    assert server.cluster.list("leases", NAMESPACE)["items"] == []
    held_by_other(server, 15)
    server.allow_only([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create"]}])
    ran = site.run("check", KUBECONFIG=kubeconfig)
    assert ran.status == 1
    assert "FAIL lease influx/provisioner: could not update the lease" in ran.output
    ran = site.run("check", "--output", "json", KUBECONFIG=str(tmp_path / "nothing"))
    assert (ran.status, [line["ok"] for line in ran.json["checks"]]) == (1, [True, True, False])
    assert server.token not in site.log()


def test_without_a_cluster_the_daemon_says_so(site: Site, tmp_path: Path) -> None:
    """It is a matter of configuration, with the remedy."""
    ran = site.run("run", KUBECONFIG=str(tmp_path / "nothing"))
    assert ran.status == 2
    assert "no Kubernetes API server was found" in ran.errors
    assert "Traceback" not in ran.errors
