"""The real adapters against a simulated API server that allows what the chart's Roles do: all is done, none is idle."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.consumers import Workload, WorkloadKind
from provisioner.domain.election import Claim
from provisioner.domain.errors import LeaseRefusedError, WorkloadsRefusedError
from provisioner.runtime.lease_kubernetes import KubernetesLease
from provisioner.runtime.pod_events import PodEvents
from provisioner.runtime.workloads_kubernetes import KubernetesWorkloads
from provisioner.simulators.kubernetes_server import KubernetesServer
from provisioner.telemetry.pod_notes import Note
from tests.builders import OWNER, a_record, uid
from tests.deploy.calls import Call, granted
from tests.deploy.rendered import FULL, NAMESPACE, chart, of_kind
from tests.deploy.test_rbac import RESTARTS
from tests.fakes.clock import FakeClock

KINDS = {f"{kind.value.lower()}s": kind for kind in WorkloadKind}
CLAIM = Claim(holder="pod-a_1", duration=timedelta(seconds=15), transitions=0)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesServer]:
    """Give a server with the workloads that the chart's values name, and the Roles that it renders."""
    with KubernetesServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "kubeconfig", namespace=NAMESPACE)))
        for namespace, plural, name in RESTARTS:
            server.cluster.add_workload(plural, namespace, name)
        for role in of_kind("Role", chart(FULL)):
            server.allow_only(role["rules"], role["metadata"]["namespace"])
        yield server


@pytest.fixture
def lease(server: KubernetesServer) -> Iterator[KubernetesLease]:
    """Give the lease of the chart's values."""
    del server
    lease = KubernetesLease("provisioner", None, request_timeout=timedelta(seconds=5), clock=FakeClock())
    yield lease
    lease.close()


@pytest.fixture
def workloads(server: KubernetesServer) -> Iterator[KubernetesWorkloads]:
    """Give what restarts."""
    del server
    workloads = KubernetesWorkloads(request_timeout=timedelta(seconds=5))
    yield workloads
    workloads.close()


def test_what_is_granted_is_what_the_adapters_ask_for(
    server: KubernetesServer, lease: KubernetesLease, workloads: KubernetesWorkloads
) -> None:
    """They do all that they can do, and no verb of the Roles is left that nobody needs."""
    lease.check()
    record = lease.create(CLAIM)
    lease.update(CLAIM, record.version)
    lease.check()
    for namespace, plural, name in RESTARTS:
        workload = Workload(kind=KINDS[plural], namespace=namespace, name=name)
        workloads.check(workload, OWNER)
        workloads.restart(workload, a_record(7))
        assert workloads.read(workload, OWNER) is not None
    told = PodEvents(name="pod-a", namespace=NAMESPACE, uid=uid(9), clock=FakeClock())
    told.put(Note(reason="Rotated", action="Rotate", text="x"))
    told.close()
    assert told.dropped == 0
    asked = {
        Call(namespace=one.namespace, resource=f"{one.group}/{one.resource}", verb=one.verb, name=one.name or None)
        for one in server.asked
    }
    assert asked == granted(chart(FULL))


def test_what_is_not_granted_is_refused(lease: KubernetesLease, workloads: KubernetesWorkloads) -> None:
    """Another lease, another workload, and those of the configuration in another namespace."""
    other = KubernetesLease("other", None, request_timeout=timedelta(seconds=5), clock=FakeClock())
    with pytest.raises(LeaseRefusedError, match="403"):
        other.read()
    other.close()
    assert lease.read() is None
    for namespace, name in (("telegraf", "other"), ("other", "telegraf")):
        with pytest.raises(WorkloadsRefusedError, match="403"):
            workloads.read(Workload(kind=WorkloadKind.DEPLOYMENT, namespace=namespace, name=name), OWNER)
