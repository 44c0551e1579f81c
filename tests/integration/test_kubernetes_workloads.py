"""Workloads in Kubernetes: what a status says, what the Role lacks, and how a server in trouble becomes our errors."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.consumers import RESTARTED_AT, Progress, Workload, WorkloadKind, annotation_of
from provisioner.domain.errors import (
    ConfigurationError,
    ProvisionerError,
    WorkloadGoneError,
    WorkloadsRefusedError,
    WorkloadsUnavailableError,
)
from provisioner.runtime.workloads_kubernetes import KubernetesWorkloads
from provisioner.simulators.kubernetes import Key, Object
from provisioner.simulators.kubernetes_server import NAMESPACE, Fault, KubernetesServer
from tests.builders import OWNER, a_record, uid

WORKLOADS = {kind: Workload(kind=kind, namespace="tools", name="consumer") for kind in WorkloadKind}
DEPLOYMENT = WORKLOADS[WorkloadKind.DEPLOYMENT]
PLURALS = {kind: f"{kind.value.lower()}s" for kind in WorkloadKind}
RULE = {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["consumer"]}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesServer]:
    """Give a server that ``KUBECONFIG`` names, with one workload of each kind, whose roll-outs stand still."""
    with KubernetesServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "kubeconfig")))
        for plural in PLURALS.values():
            server.cluster.add_workload(plural, "tools", "consumer", replicas=3)
        server.cluster.rolls_out_at_once = False
        yield server


@pytest.fixture
def workloads(server: KubernetesServer) -> Iterator[KubernetesWorkloads]:
    """Give the adapter."""
    del server
    workloads = KubernetesWorkloads(request_timeout=timedelta(seconds=3))
    yield workloads
    workloads.close()


def key(kind: WorkloadKind) -> Key:
    """Give where the workload of a kind is."""
    return Key(PLURALS[kind], "tools", "consumer")


@pytest.mark.parametrize("kind", list(WorkloadKind))
def test_a_roll_out_is_followed_by_its_numbers(
    server: KubernetesServer, workloads: KubernetesWorkloads, kind: WorkloadKind
) -> None:
    """From the template that nobody has seen yet to the last pod that is available."""
    workloads.restart(WORKLOADS[kind], a_record(7))
    seen = []
    for updated, available in ((None, None), (1, 3), (3, 2), (3, 3)):
        if updated is not None:
            server.cluster.progress(key(kind), updated=updated, available=available)
        rollout = workloads.read(WORKLOADS[kind], OWNER)
        assert rollout is not None
        seen.append((rollout.rotation_id, rollout.progress))
    assert seen == [(uid(7), Progress.UNDER_WAY)] * 3 + [(uid(7), Progress.COMPLETE)]


def test_a_restart_is_what_kubectl_does(server: KubernetesServer, workloads: KubernetesWorkloads) -> None:
    """The annotation of ``kubectl rollout restart``, from the moment of the commit, beside ours; the rest stays."""
    server.cluster.change(
        key(WorkloadKind.DEPLOYMENT),
        lambda found: found["spec"]["template"]["metadata"].update(annotations={"team": "observability"}),
    )
    record = a_record(7)
    workloads.restart(DEPLOYMENT, record)
    found = server.cluster.get(key(WorkloadKind.DEPLOYMENT))
    assert found["spec"]["template"]["metadata"]["annotations"] == {
        "team": "observability",
        RESTARTED_AT: record.stored_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        annotation_of(OWNER): uid(7),
    }
    assert found["spec"]["template"]["spec"]["containers"]


def test_a_deployment_says_that_it_is_stalled(server: KubernetesServer, workloads: KubernetesWorkloads) -> None:
    """By its condition, once its progress deadline has passed."""
    workloads.restart(DEPLOYMENT, a_record(7))
    server.cluster.progress(key(WorkloadKind.DEPLOYMENT), updated=1, stalled=True)
    rollout = workloads.read(DEPLOYMENT, OWNER)
    assert rollout is not None
    assert rollout.progress is Progress.STALLED


@pytest.mark.parametrize(
    ("kind", "changes", "progress"),
    [
        (WorkloadKind.STATEFUL_SET, {"updateStrategy": {"type": "OnDelete"}}, Progress.UNDER_WAY),
        (WorkloadKind.DAEMON_SET, {"updateStrategy": {"type": "OnDelete"}}, Progress.UNDER_WAY),
        (WorkloadKind.DEPLOYMENT, {"paused": True}, Progress.STALLED),
    ],
)
def test_what_needs_a_person_is_said(
    server: KubernetesServer,
    workloads: KubernetesWorkloads,
    kind: WorkloadKind,
    changes: dict[str, Any],
    progress: Progress,
) -> None:
    """Pods that are replaced only when somebody deletes them, and a roll-out that somebody has paused."""
    server.cluster.change(key(kind), lambda found: found["spec"].update(changes))
    workloads.restart(WORKLOADS[kind], a_record(7))
    server.cluster.progress(key(kind), updated=1, available=3)
    rollout = workloads.read(WORKLOADS[kind], OWNER)
    assert rollout is not None
    assert rollout.progress is progress
    assert "delete the old pods" in rollout.message or "it is paused" in rollout.message


def test_a_partition_is_told(server: KubernetesServer, workloads: KubernetesWorkloads) -> None:
    """The pods below it have the old token for ever, and nobody waits for a controller that has done its part."""
    kind = WorkloadKind.STATEFUL_SET
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    server.cluster.change(key(kind), lambda found: found["spec"].update(updateStrategy=strategy))
    workloads.restart(WORKLOADS[kind], a_record(7))
    server.cluster.progress(key(kind), updated=1, available=3)
    rollout = workloads.read(WORKLOADS[kind], OWNER)
    assert rollout is not None
    assert (rollout.progress, "its partition is 2" in rollout.message) == (Progress.STALLED, True)


def test_pods_that_have_not_ended_yet_are_waited_for(server: KubernetesServer, workloads: KubernetesWorkloads) -> None:
    """They have the old token, and may need it for as long as they take to end."""
    kind = WorkloadKind.DEPLOYMENT
    workloads.restart(WORKLOADS[kind], a_record(7))
    for ending, progress in ((2, Progress.UNDER_WAY), (0, Progress.COMPLETE)):
        server.cluster.progress(key(kind), updated=3, ending=ending)
        rollout = workloads.read(WORKLOADS[kind], OWNER)
        assert rollout is not None
        assert rollout.progress is progress


def test_an_object_that_says_little_is_no_trouble(server: KubernetesServer, workloads: KubernetesWorkloads) -> None:
    """Created a moment ago, without replicas, status or annotations: its controller has yet to see it."""

    def bare(found: Object) -> None:
        del found["spec"]["replicas"]
        found["metadata"]["generation"] = 1

    server.cluster.change(key(WorkloadKind.DEPLOYMENT), bare)
    rollout = workloads.read(DEPLOYMENT, OWNER)
    assert rollout is not None
    assert rollout.progress is Progress.UNDER_WAY


def test_without_a_namespace_it_is_our_own(server: KubernetesServer, workloads: KubernetesWorkloads) -> None:
    """As the ServiceAccount, or here the file, says it."""
    server.cluster.add_workload("deployments", NAMESPACE, "near")
    near = Workload(kind=WorkloadKind.DEPLOYMENT, name="near")
    workloads.restart(near, a_record(7))
    assert server.cluster.get(Key("deployments", NAMESPACE, "near"))["metadata"]["generation"] == 2


@pytest.mark.parametrize("missing", ["get", "patch"])
def test_check_tells_each_missing_verb(server: KubernetesServer, workloads: KubernetesWorkloads, missing: str) -> None:
    """In the server's words, with what the Role needs; with both verbs it says nothing, and changes nothing."""
    server.allow_only([RULE | {"verbs": ["get", "patch"]}], "tools")
    workloads.check(DEPLOYMENT, OWNER)
    server.allow_everything()
    server.allow_only([RULE | {"verbs": sorted({"get", "patch"} - {missing})}], "tools")
    with pytest.raises(WorkloadsRefusedError, match=rf"cannot {missing} resource .*verbs get and patch"):
        workloads.check(DEPLOYMENT, OWNER)
    assert server.cluster.get(key(WorkloadKind.DEPLOYMENT))["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.UNREACHABLE, WorkloadsUnavailableError),
        (Fault.LOST, WorkloadsUnavailableError),
        (Fault.GONE, WorkloadGoneError),
        (Fault.THROTTLED, WorkloadsUnavailableError),
        (Fault.BROKEN, WorkloadsUnavailableError),
        (Fault.GARBLED, WorkloadsUnavailableError),
        (Fault.PAGE, WorkloadsUnavailableError),
    ],
)
def test_what_is_in_the_way_becomes_one_of_our_errors(
    server: KubernetesServer, workloads: KubernetesWorkloads, fault: Fault, error: type[ProvisionerError]
) -> None:
    """It names the workload, holds no token, and nothing of the client's hangs on it; 410 is no sign of its absence."""
    server.knobs.always["*"] = fault
    calls: list[Callable[[], object]] = [
        lambda: workloads.read(DEPLOYMENT, OWNER),
        lambda: workloads.restart(DEPLOYMENT, a_record(7)),
    ]
    for call in calls:
        with pytest.raises(error) as raised:
            call()
        assert "Deployment tools/consumer" in str(raised.value)
        assert server.token not in str(raised.value)
        assert (raised.value.__cause__, raised.value.__context__) == (None, None)


@pytest.mark.parametrize("fault", [Fault.SLOW_BEFORE, Fault.TRICKLING])
def test_a_slow_server_is_given_up_in_time(server: KubernetesServer, fault: Fault) -> None:
    """And serves the next request, when it can."""
    workloads = KubernetesWorkloads(request_timeout=timedelta(seconds=0.6))
    server.knobs.queues["get"] = [fault]
    with pytest.raises(WorkloadsUnavailableError, match="no answer"):
        workloads.read(DEPLOYMENT, OWNER)
    assert workloads.read(DEPLOYMENT, OWNER) is not None
    workloads.close()


def test_no_cluster_is_a_matter_of_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told at the first call, and not when it is built: no rotation is to hang on it."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    workloads = KubernetesWorkloads(request_timeout=timedelta(seconds=1))
    with pytest.raises(ConfigurationError, match="take restart out of on_rotate"):
        workloads.read(DEPLOYMENT, OWNER)
    workloads.close()
