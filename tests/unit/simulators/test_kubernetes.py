"""The simulated Kubernetes answers as a real one was measured to."""

from collections.abc import Callable
from typing import Any

import pytest

from provisioner.simulators.kubernetes import Key, Kubernetes, Object, Reason, RejectionError
from tests.fakes.clock import FakeClock

NS = "influx"
LEASE = Key("leases", NS, "provisioner")
RESTART = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}


@pytest.fixture
def cluster() -> Kubernetes:
    """Give an empty cluster."""
    return Kubernetes(clock=FakeClock())


def lease(**spec: Any) -> Object:
    """Build a lease as a client sends it."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "provisioner"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15} | spec,
    }


def event(**changed: Any) -> Object:
    """Build a valid event."""
    return {
        "metadata": {"generateName": "provisioner-"},
        "eventTime": "2026-06-01T12:00:00.000001Z",
        "reportingController": "token-provisioner",
        "reportingInstance": "provisioner-0",
        "action": "Rotate",
        "reason": "Rotated",
        "type": "Normal",
        "regarding": {"kind": "Pod", "namespace": NS, "name": "provisioner-0"},
    } | changed


def refused(call: Callable[[], object]) -> RejectionError:
    """Give the refusal that a call met."""
    with pytest.raises(RejectionError) as raised:
        call()
    return raised.value


def test_every_write_has_a_version_of_its_own_and_the_same_again_is_no_write(cluster: Kubernetes) -> None:
    """And a second create meets what is there."""
    created = cluster.create("leases", NS, lease())
    again = refused(lambda: cluster.create("leases", NS, lease()))
    assert (again.code, again.reason) == (409, Reason.ALREADY_EXISTS)
    assert again.message == 'leases.coordination.k8s.io "provisioner" already exists'
    changed = cluster.replace(LEASE, created | {"spec": {"holderIdentity": "b"}})
    assert changed["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
    assert cluster.replace(LEASE, changed) == changed


def test_a_stale_update_conflicts_and_one_without_a_version_is_invalid(cluster: Kubernetes) -> None:
    """Nothing has changed then."""
    created = cluster.create("leases", NS, lease())
    current = cluster.replace(LEASE, created | {"spec": {"holderIdentity": "b"}})
    stale = refused(lambda: cluster.replace(LEASE, created))
    assert (stale.code, stale.reason) == (409, Reason.CONFLICT)
    assert stale.message.startswith(
        'Operation cannot be fulfilled on leases.coordination.k8s.io "provisioner": the obj'
    )
    assert refused(lambda: cluster.replace(LEASE, lease())).code == 422
    assert cluster.get(LEASE) == current


def test_what_is_not_there_is_not_found_and_an_update_of_what_was_seen_conflicts(cluster: Kubernetes) -> None:
    """As the server says it of a Lease whose uid is sent."""
    created = cluster.create("leases", NS, lease())
    cluster.delete(LEASE)
    assert refused(lambda: cluster.get(LEASE)).status()["code"] == 404
    assert "UID in precondition" in refused(lambda: cluster.replace(LEASE, created)).message
    assert cluster.list("leases", NS)["items"] == []


@pytest.mark.parametrize(
    ("plural", "sent", "code"),
    [
        ("leases", lease(leaseDurationSeconds=0), 422),
        ("leases", lease(leaseTransitions=-1), 422),
        ("leases", lease(leaseDurationSeconds="15"), 400),
        ("leases", lease(renewTime="2026-06-01T12:00:00Z"), 400),
        ("leases", lease() | {"metadata": {}}, 422),
        ("leases", lease() | {"metadata": {"name": "Not_A_Name"}}, 422),
        ("leases", lease() | {"kind": "Pod"}, 400),
        ("leases", lease() | {"metadata": {"name": "x", "namespace": "other"}}, 400),
        ("leases", lease() | {"metadata": {"name": "x", "resourceVersion": "1"}}, 400),
        ("events", event(type="Loud"), 422),
        ("events", event(eventTime=None), 422),
        ("events", event(eventTime="2026-06-01T12:00:00Z"), 400),
        ("events", event(note="x" * 1025), 422),
        ("events", event(reason="x" * 129), 422),
        ("events", event(regarding={"namespace": "other"}), 422),
        ("events", event(reportingController=""), 422),
        ("pods", {"metadata": {"name": "x"}}, 422),
        ("deployments", {"metadata": {"name": "x"}, "spec": {}}, 422),
    ],
)
def test_what_is_malformed_or_invalid_is_refused(cluster: Kubernetes, plural: str, sent: Object, code: int) -> None:
    """And not stored."""
    assert refused(lambda: cluster.create(plural, NS, sent)).code == code
    assert cluster.list(plural, NS)["items"] == []


@pytest.mark.parametrize("name", ["a.b-1", "0", "a" * 253])
def test_a_name_is_a_dns_subdomain(cluster: Kubernetes, name: str) -> None:
    """Labels with dots between them."""
    assert cluster.create("leases", "influx", {"metadata": {"name": name}})["metadata"]["name"] == name


@pytest.mark.parametrize("name", ["a..b", "a-.b", "a.-b", ".a", "a.", "-a", "A", "a_b", "a" * 254, "ü"])
def test_a_name_that_is_none_is_refused(cluster: Kubernetes, name: str) -> None:
    """As the real server does, by 422."""
    assert refused(lambda: cluster.create("leases", "influx", {"metadata": {"name": name}})).code == 422


def test_a_generated_name_is_cut(cluster: Kubernetes) -> None:
    """The server keeps 58 letters and adds five."""
    sent = event()
    sent["metadata"] = {"generateName": f"{'p' * 200}."}
    name = cluster.create("events", "influx", sent)["metadata"]["name"]
    assert (len(name), name[:58]) == (63, "p" * 58)


def test_an_event_gets_a_name(cluster: Kubernetes) -> None:
    """From ``generateName``."""
    assert cluster.create("events", NS, event())["metadata"]["name"].startswith("provisioner-")


@pytest.mark.parametrize("plural", ["deployments", "statefulsets", "daemonsets"])
def test_a_restart_raises_the_generation_once_and_rolls_out(cluster: Kubernetes, plural: str) -> None:
    """At once; the same patch again changes nothing; other annotations stay."""
    cluster.add_workload(plural, NS, "telegraf")
    key = Key(plural, NS, "telegraf")
    for _ in range(2):
        patched = cluster.patch(key, RESTART)
        assert patched["metadata"]["generation"] == 2
        assert patched["status"]["observedGeneration"] == 2
    assert patched["spec"]["template"]["spec"]["containers"][0]["name"] == "main"
    cluster.patch(key, {"metadata": {"annotations": {"note": "no change of the template"}}})
    assert cluster.get(key)["metadata"]["generation"] == 2


def test_a_roll_out_can_be_let_to_progress_or_to_stall(cluster: Kubernetes) -> None:
    """Until then its status is that of the generation before."""
    cluster.rolls_out_at_once = False
    cluster.add_workload("deployments", NS, "telegraf", replicas=2)
    key = Key("deployments", NS, "telegraf")
    status = cluster.patch(key, RESTART)["status"]
    assert (status["observedGeneration"], status["updatedReplicas"]) == (1, 2)
    status = cluster.progress(key, updated=1, available=1, stalled=True)["status"]
    assert (status["observedGeneration"], status["updatedReplicas"], status["unavailableReplicas"]) == (2, 1, 1)
    assert status["conditions"][1]["reason"] == "ProgressDeadlineExceeded"
    status = cluster.progress(key, updated=2)["status"]
    assert (status["updatedReplicas"], status["availableReplicas"]) == (2, 2)


def test_a_try_changes_nothing(cluster: Kubernetes) -> None:
    """As with ``dryRun=All``."""
    with cluster.trying_only():
        cluster.create("leases", NS, lease())
    assert cluster.list("leases", NS)["items"] == []
