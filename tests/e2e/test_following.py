"""What follows a rotation, with the real command, a real OpenBao, a simulated Kubernetes and a webhook's receiver."""

import hashlib
import hmac
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.consumers import annotation_of
from provisioner.domain.mark import Owner
from provisioner.simulators.kubernetes import Key
from provisioner.simulators.kubernetes_server import NAMESPACE, KubernetesServer
from provisioner.simulators.openbao import OpenBao
from tests.fakes.webhook_receiver import Receiver
from tests.site import Ran, Site, a_site

KEY = Key("deployments", "telegraf", "telegraf")
ANNOTATION = annotation_of(Owner("e2e", "telegraf"))
SECRET = "hmac-key-of-the-tests-zq7"
RESTART = {"restart": {"kind": "Deployment", "namespace": "telegraf", "name": "telegraf"}}
WAITING = {"min": "1s", "until": "rolled-out", "max": "1h"}
POD = {"POD_NAME": "provisioner-1", "POD_NAMESPACE": NAMESPACE, "POD_UID": "11111111-1111-4111-8111-111111111111"}


@pytest.fixture
def server() -> Iterator[KubernetesServer]:
    """Give a simulated API server with one Deployment, where we may do what the chart's Roles allow, and no more."""
    with KubernetesServer() as server:
        server.cluster.add_workload("deployments", "telegraf", "telegraf")
        server.allow_only([{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}])
        rule = {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["telegraf"]}
        server.allow_only([rule | {"verbs": ["get", "patch"]}], "telegraf")
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a webhook's receiver."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site whose token restarts the Deployment."""
    (tmp_path / "site").mkdir()
    site = a_site(tmp_path / "site", openbao)
    site.content["reconcile"] = {"interval": "1s"}
    site.content["tokens"][0] |= {"on_rotate": [RESTART], "overlap": WAITING}
    return site


def around(site: Site, server: KubernetesServer) -> dict[str, str]:
    """Give the environment of a process in the cluster."""
    path = site.folder.parent / "kubeconfig"
    return {"KUBECONFIG": str(server.kubeconfig(path)), **POD}


def annotations(server: KubernetesServer) -> dict[str, str]:
    """Give what the Deployment's template says."""
    found: dict[str, str] = server.cluster.get(KEY)["spec"]["template"]["metadata"].get("annotations", {})
    return found


def run(site: Site, environment: dict[str, str], *arguments: str) -> Ran:
    """Run the command there."""
    return site.run(*arguments, timeout=60, **environment)


def standing(site: Site, environment: dict[str, str]) -> dict[str, Any]:
    """Give what ``status`` says of the token."""
    found: dict[str, Any] = run(site, environment, "status", "--output", "json").json["tokens"][0]
    return found


def with_webhook(site: Site, receiver: Receiver) -> None:
    """Let the token's rotations be told, and nothing be restarted."""
    (site.folder / "hmac-key").write_text(f"{SECRET}\n")
    webhook = {"url": f"{receiver.url}/path-zq8", "hmac_key": {"file": str(site.folder / "hmac-key")}}
    site.content["tokens"][0] |= {"on_rotate": [{"webhook": webhook}], "overlap": "1h"}


def is_signed(body: bytes, headers: dict[str, str]) -> bool:
    """Verify a signature."""
    signed = headers["x-provisioner-timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    return headers["x-provisioner-signature"] == f"sha256={expected}"


def test_the_old_token_lives_until_the_deployment_is_rolled_out(site: Site, server: KubernetesServer) -> None:
    """The daemon restarts it, follows it while it takes its time, and revokes when the last pod is new."""
    environment = around(site, server)
    with site.daemon(**environment):
        site.wait_for("the first roll-out", lambda: '"consumer_rolled_out"' in site.log())
        server.cluster.rolls_out_at_once = False
        ran = run(site, environment, "rotate", "telegraf", "--direct")
        assert ran.status == 0, ran.errors
        assert annotations(server)[ANNOTATION] == site.stored("telegraf")["rotation_id"]
        told = standing(site, environment)
        assert [(one["name"], one["state"]) for one in told["consumers"]] == [("telegraf", "rolling-out")]
        looks = len(server.asked)
        site.wait_for("looks of the daemon", lambda: len(server.asked) >= looks + 3)
        assert len(site.live("telegraf")) == 2
        server.cluster.progress(KEY, updated=2, available=1)
        looks = len(server.asked)
        site.wait_for("more looks", lambda: len(server.asked) >= looks + 3)
        assert len(site.live("telegraf")) == 2
        server.cluster.progress(KEY, updated=2)
        site.wait_for("the revocation", lambda: len(site.live("telegraf")) == 1)
        site.wait_for("its Event", lambda: "Revoked" in reasons(server))
    assert reasons(server).count("Rotated") == 2
    assert server.token not in site.log()


def reasons(server: KubernetesServer) -> list[str]:
    """Give what was told about the pod."""
    return [each["reason"] for each in server.cluster.list("events", NAMESPACE)["items"]]


@pytest.mark.parametrize("point", ["consumer.restart:before", "consumer.restart:after", "consumer.read:after"])
def test_a_process_that_is_killed_at_a_restart_loses_nothing(site: Site, server: KubernetesServer, point: str) -> None:
    """The next one finds the token stored, and restarts what is behind: the Deployment is rolled out once."""
    environment = around(site, server)
    killed = run(site, environment | {"PROVISIONER_FAIL_POINT": point}, "once")
    assert killed.status < 0
    assert run(site, environment, "once").status == 0
    assert annotations(server)[ANNOTATION] == site.stored("telegraf")["rotation_id"]
    assert server.cluster.get(KEY)["metadata"]["generation"] == 2


def test_a_cluster_out_of_reach_stops_no_rotation(site: Site, tmp_path: Path) -> None:
    """It is said in the log and by ``status``; the token is stored."""
    ran = site.run("once", "--output", "json", KUBECONFIG=str(tmp_path / "nothing"))
    (told,) = ran.json["tokens"]
    assert (ran.status, told["state"], told["consumers"][0]["state"]) == (1, "failing", "unreadable")
    assert "no Kubernetes API server was found" in told["reason"]
    assert site.stored("telegraf")["token_id"] == told["token_id"]


def test_check_tries_workloads_and_reads_keys(site: Site, server: KubernetesServer, receiver: Receiver) -> None:
    """One line each; what is missing, or not permitted, is a failure with the remedy, and nothing is changed."""
    environment = around(site, server)
    ran = run(site, environment, "check")
    assert ran.status == 0, ran.output
    assert "ok   workload Deployment telegraf/telegraf: can be read and restarted" in ran.output
    assert annotations(server) == {}
    site.content["tokens"][0]["on_rotate"] += [{"restart": {"kind": "StatefulSet", "namespace": "tools", "name": "db"}}]
    ran = run(site, environment, "check")
    assert ran.status == 1
    assert "FAIL workload StatefulSet tools/db: could not read StatefulSet tools/db: 403" in ran.output
    server.cluster.delete(KEY)
    assert "is not there: create it, or take it out" in run(site, environment, "check").output
    with_webhook(site, receiver)
    ran = site.run("check")
    assert ran.status == 0, ran.output
    assert "webhook 127.0.0.1" in ran.output
    (site.folder / "hmac-key").unlink()
    assert "cannot be read" in site.run("check").output
    assert receiver.asked == []


def test_a_webhook_is_told_signed_and_told_again_until_it_says_yes(site: Site, receiver: Receiver) -> None:
    """Its first answer is lost; the rotation is one and the same both times."""
    with_webhook(site, receiver)
    receiver.answers = ["break"]
    with site.daemon():
        site.wait_for("two deliveries", lambda: len(receiver.asked) == 2)
        site.wait_for("the yes", lambda: '"webhook_delivered"' in site.log())
    rotation_id = site.stored("telegraf")["rotation_id"]
    assert {asked.headers["idempotency-key"] for asked in receiver.asked} == {rotation_id}
    assert len({asked.body for asked in receiver.asked}) == 1
    assert all(is_signed(asked.body, asked.headers) for asked in receiver.asked)
    token = site.stored("telegraf")["token"]
    assert not any(token in f"{asked.body!r}{asked.headers}" for asked in receiver.asked)
    assert json.loads(receiver.asked[0].body)["token_id"] == site.stored("telegraf")["token_id"]
    assert "zq8" not in site.log()
    assert SECRET not in site.log()


def test_webhooks_that_hang_do_not_keep_a_daemon_that_is_to_leave(site: Site, receiver: Receiver) -> None:
    """The one that is being told is waited for, and the others are for the next process."""
    with_webhook(site, receiver)
    first = site.content["tokens"][0]["on_rotate"][0]["webhook"]
    others = [{"webhook": first | {"url": f"{receiver.url}/{number}"}} for number in range(3)]
    site.content["tokens"][0]["on_rotate"] += others
    receiver.answers = ["hang"] * 4
    with site.daemon() as process:
        site.wait_for("the first", lambda: len(receiver.asked) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert len(receiver.asked) == 1
    assert '"daemon_left_work_behind"' not in site.log()


@pytest.mark.parametrize("point", ["consumer.notify:before", "consumer.notify:after"])
def test_a_process_that_is_killed_at_a_webhook_leaves_it_to_the_next(
    site: Site, receiver: Receiver, point: str
) -> None:
    """At least once, and by its key once."""
    with_webhook(site, receiver)
    assert site.run("once", PROVISIONER_FAIL_POINT=point).status < 0
    assert site.run("once").status == 0
    assert len(receiver.asked) == (1 if point.endswith("before") else 2)
    rotation_id = site.stored("telegraf")["rotation_id"]
    assert {asked.headers["idempotency-key"] for asked in receiver.asked} == {rotation_id}
