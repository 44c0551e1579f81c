"""The lease in Kubernetes: what the server says becomes one of our errors, and nothing of ours gets lost or told."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.election import Claim
from provisioner.domain.errors import (
    ConfigurationError,
    LeaseConflictError,
    LeaseGoneError,
    LeaseRefusedError,
    LeaseUnavailableError,
    ProvisionerError,
)
from provisioner.runtime.clock import SystemClock
from provisioner.runtime.lease_kubernetes import KubernetesLease
from provisioner.simulators.kubernetes import Key, Object
from provisioner.simulators.kubernetes_server import NAMESPACE, Fault, KubernetesServer
from tests.builders import NOW
from tests.fakes.clock import FakeClock

NAME = "provisioner"
KEY = Key("leases", NAMESPACE, NAME)
A = Claim(holder="pod-a_1", duration=timedelta(seconds=15), transitions=0)
B = Claim(holder="pod-b_2", duration=timedelta(milliseconds=14_200), transitions=1)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesServer]:
    """Give a server that ``KUBECONFIG`` names."""
    with KubernetesServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "kubeconfig")))
        yield server


@pytest.fixture
def lease(server: KubernetesServer) -> Iterator[KubernetesLease]:
    """Give the lease, found by that file alone."""
    del server
    lease = a_lease()
    yield lease
    lease.close()


def a_lease(*, timeout: float = 5, clock: FakeClock | None = None, namespace: str | None = None) -> KubernetesLease:
    """Build a lease."""
    return KubernetesLease(NAME, namespace, request_timeout=timedelta(seconds=timeout), clock=clock or FakeClock(NOW))


def test_the_namespace_is_our_own_unless_another_is_named(server: KubernetesServer, lease: KubernetesLease) -> None:
    """As the ServiceAccount, or here the file, says it."""
    lease.create(A)
    assert lease.name == f"{NAMESPACE}/{NAME}"
    other = a_lease(namespace="elsewhere")
    assert other.name == f"elsewhere/{NAME}"
    assert other.read() is None
    other.close()
    assert [asked.namespace for asked in server.asked] == [NAMESPACE, "elsewhere"]


def test_a_moment_of_a_full_second_is_written_in_full(server: KubernetesServer) -> None:
    """The server takes six digits of a second and nothing else, and full seconds come."""
    assert NOW.microsecond == 0
    lease = a_lease(clock=FakeClock(NOW))
    lease.create(A)
    assert server.cluster.get(KEY)["spec"]["renewTime"].endswith(".000001Z")
    lease.close()


def test_what_else_hangs_on_the_lease_stays(server: KubernetesServer) -> None:
    """Labels, owners and fields that are not ours; since when it is held changes with the holder alone."""
    clock = FakeClock(NOW)
    lease = a_lease(clock=clock)
    lease.create(A)
    clock.advance(timedelta(seconds=2))

    def by_somebody(found: Object) -> None:
        found["metadata"]["labels"] = {"team": "observability"}
        found["spec"]["strategy"] = "OldestEmulationVersion"

    server.cluster.change(KEY, by_somebody)
    seen = lease.read()
    assert seen is not None
    acquired = server.cluster.get(KEY)["spec"]["acquireTime"]
    renewed = lease.update(A, seen.version)
    found = server.cluster.get(KEY)
    assert found["metadata"]["labels"] == {"team": "observability"}
    assert found["spec"]["strategy"] == "OldestEmulationVersion"
    assert found["spec"]["acquireTime"] == acquired
    lease.update(B, renewed.version)
    assert server.cluster.get(KEY)["spec"]["leaseDurationSeconds"] == 15, "rounded up: others wait long enough"
    assert server.cluster.get(KEY)["spec"]["acquireTime"] != acquired
    lease.close()


def test_a_lease_that_says_nothing_is_held_by_nobody(server: KubernetesServer, lease: KubernetesLease) -> None:
    """Somebody may have created it by hand."""
    server.cluster.create("leases", NAMESPACE, {"metadata": {"name": NAME}})
    record = lease.read()
    assert record is not None
    assert (record.holder, record.duration, record.transitions) == ("", timedelta(0), 0)
    assert lease.update(A, record.version).holder == A.holder


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.UNREACHABLE, LeaseUnavailableError),
        (Fault.LOST, LeaseUnavailableError),
        (Fault.GONE, LeaseGoneError),
        (Fault.THROTTLED, LeaseUnavailableError),
        (Fault.BROKEN, LeaseUnavailableError),
        (Fault.GARBLED, LeaseUnavailableError),
        (Fault.PAGE, LeaseUnavailableError),
    ],
)
def test_what_is_in_the_way_becomes_one_of_our_errors(
    server: KubernetesServer, lease: KubernetesLease, fault: Fault, error: type[ProvisionerError]
) -> None:
    """It names the lease, holds no token, and nothing of the client's hangs on it."""
    version = lease.create(A).version
    server.knobs.always["update"] = fault
    with pytest.raises(error) as raised:
        lease.update(B, version)
    assert f"{NAMESPACE}/{NAME}" in str(raised.value)
    assert server.token not in str(raised.value)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


def test_how_long_a_server_wants_to_be_left_alone_is_told(server: KubernetesServer, lease: KubernetesLease) -> None:
    """In seconds; where it does not say, or says it otherwise, nothing."""
    server.knobs.queues["get"] = [Fault.THROTTLED, Fault.THROTTLED, Fault.BROKEN]
    for said, asked in (("7", 7), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("7", 0)):
        server.knobs.retry_after = said
        with pytest.raises(LeaseUnavailableError) as raised:
            lease.read()
        assert raised.value.retry_after == timedelta(seconds=asked)


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.TRICKLING])
def test_a_slow_server_is_given_up_in_time(server: KubernetesServer, fault: Fault) -> None:
    """Within the request time-out, although the write took effect; also where the answer comes byte by byte."""
    lease, clock = a_lease(timeout=0.6), SystemClock()
    server.knobs.always["create"] = fault
    began = clock.monotonic()
    with pytest.raises(LeaseUnavailableError):
        lease.create(A)
    assert clock.monotonic() - began < 5
    assert server.cluster.get(KEY)["spec"]["holderIdentity"] == A.holder
    lease.close()


def test_no_server_at_all_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens."""
    monkeypatch.setenv("KUBECONFIG", str(KubernetesServer().kubeconfig(tmp_path / "kubeconfig")))
    lease = a_lease()
    with pytest.raises(LeaseUnavailableError, match="ConnectError"):
        lease.read()
    lease.close()


def test_a_token_that_is_not_taken_is_a_refusal(server: KubernetesServer, lease: KubernetesLease) -> None:
    """It says where to look, and not what was sent."""
    server.accounts.clear()
    with pytest.raises(LeaseRefusedError, match=r"401 .*ServiceAccount") as raised:
        lease.read()
    assert server.token not in str(raised.value)


def test_a_missing_verb_is_named(server: KubernetesServer, lease: KubernetesLease) -> None:
    """In the server's words, with what the Role needs."""
    server.allow_only([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]}])
    lease.read()
    with pytest.raises(LeaseRefusedError, match=r"cannot create resource .*verbs get, create and update"):
        lease.create(A)


@pytest.mark.parametrize("missing", ["get", "create", "update"])
def test_check_tells_each_missing_verb_and_changes_nothing(
    server: KubernetesServer, lease: KubernetesLease, missing: str
) -> None:
    """Whether there is a lease or not; with all verbs it says nothing."""
    verbs = {"get", "create", "update"}
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    for create_first in (False, True):
        server.allow_everything()
        before = lease.create(A) if create_first else None
        server.allow_only([rule | {"verbs": sorted(verbs)}])
        lease.check()
        server.allow_everything()
        server.allow_only([rule | {"verbs": sorted(verbs - {missing})}])
        with pytest.raises(LeaseRefusedError, match=f"cannot {missing} resource"):
            lease.check()
        server.allow_everything()
        assert lease.read() == before


def test_a_write_over_what_another_one_wrote_is_a_conflict(server: KubernetesServer, lease: KubernetesLease) -> None:
    """Also when the other one was a person with an editor."""
    version = lease.create(A).version
    server.cluster.change(KEY, lambda found: found["metadata"].update(annotations={"note": "by hand"}))
    with pytest.raises(LeaseConflictError):
        lease.update(A, version)


@pytest.mark.parametrize("content", [None, "", "{", "clusters: []", "{clusters: 1, contexts: 2}"])
def test_no_cluster_is_a_matter_of_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """Whatever is wrong with the file, the remedy is told."""
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ConfigurationError, match="set KUBECONFIG, or switch leader_election off"):
        a_lease()
