"""What our code asks of Kubernetes when it is run under the Roles that are rendered, and what those grant."""

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from provisioner.app import lease_of
from provisioner.catalog import make_workloads
from provisioner.domain import events
from provisioner.domain.election import Elector
from provisioner.engine.candidate import Candidate
from provisioner.engine.inspection import inspect_lease
from provisioner.runtime.pod_events import PodEvents
from provisioner.settings.load import Settings, load_settings
from provisioner.settings.pod import pod
from provisioner.simulators.kubernetes_server import KubernetesServer
from provisioner.telemetry.pod_observer import PodObserver
from tests.builders import MINUTE, NOW, a_record, uid
from tests.deploy.rendered import Object, configuration, environment, of_kind, one
from tests.fakes.clock import FakeClock

_TOLD: Final = (
    events.RotationFinished(name="telegraf", rotation_id=uid(1), fact="rotation_is_due", took=MINUTE),
    events.TokenRevoked(name="telegraf", issuer="cluster", token_id="id-1", reason="was replaced"),
    events.StepFailed(name="telegraf", step="mint", fact="due", error="it was down", failures=1, retry_at=NOW),
)
_ELECTION: Final = [
    events.LeadershipGained,
    events.LeaderSeen,
    events.LeadershipGained,
    events.LeadershipLost,
    events.LeaderSeen,
    events.LeadershipReleased,
]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Call:
    """One verb on one resource; the name is empty where a name cannot restrict it, or does not."""

    namespace: str
    resource: str
    verb: str
    name: str = ""


def granted(rendered: tuple[Object, ...]) -> set[Call]:
    """Give what the Roles that are bound to our ServiceAccount allow, one call each."""
    return {
        Call(namespace=role["metadata"]["namespace"], resource=f"{group}/{resource}", verb=verb, name=name)
        for role in _bound(rendered)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def asked(rendered: tuple[Object, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[Call]:
    """Run everything of ours that asks Kubernetes, with the configuration that is rendered; give what it asked.

    The server allows what the Roles allow, so that whatever is asked in vain is seen to be, here or in what follows it.
    """
    settings, _ = load_settings(configuration(rendered, folder))
    with KubernetesServer() as server:
        allow(rendered, server)
        variables = environment(rendered)
        kubeconfig = server.kubeconfig(folder / "kubeconfig", namespace=variables["POD_NAMESPACE"])
        for name, value in (variables | {"KUBECONFIG": str(kubeconfig)}).items():
            monkeypatch.setenv(name, value)
        if settings.leader_election.enabled:
            _stand_for_election(settings)
        _restart_all(settings, server, variables["POD_NAMESPACE"])
        _tell_of_the_pod()
        return asked_of(server)


def allow(rendered: tuple[Object, ...], server: KubernetesServer) -> None:
    """Allow what the Roles that are bound to our ServiceAccount allow, and nothing else."""
    server.allow_only([])
    for role in _bound(rendered):
        server.allow_only(role["rules"], role["metadata"]["namespace"])


def asked_of(server: KubernetesServer) -> set[Call]:
    """Give what was asked of a server, in vain or not."""
    return {
        Call(namespace=each.namespace, resource=f"{each.group}/{each.resource}", verb=each.verb, name=each.name)
        for each in server.asked
    }


def _bound(rendered: tuple[Object, ...]) -> list[Object]:
    account = one("ServiceAccount", rendered)["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    bound = {
        (binding["metadata"]["namespace"], binding["roleRef"]["name"])
        for binding in of_kind("RoleBinding", rendered)
        if binding["subjects"] == [subject] and binding["roleRef"]["kind"] == "Role"
    }
    roles = of_kind("Role", rendered)
    return [role for role in roles if (role["metadata"]["namespace"], role["metadata"]["name"]) in bound]


def _stand_for_election(settings: Settings) -> None:
    """Let one lead, renew, be silent and lose it to another, which leaves; and let `check` look at the lease."""
    clock = FakeClock(NOW)
    told: list[events.Event] = []
    clock.advance(timedelta(seconds=1000))
    with closing(lease_of(settings, clock)) as ours, closing(lease_of(settings, clock)) as theirs:
        first, second = (
            Candidate(lease, Elector(identity=name), clock=clock, observe=told.append)
            for lease, name in ((ours, "pod-a_1"), (theirs, "pod-b_2"))
        )
        for candidate, after in ((first, 0), (first, 2), (second, 1), (second, 16), (first, 0)):
            clock.advance(timedelta(seconds=after))
            candidate.turn()
        second.release()
        assert [type(each) for each in told] == _ELECTION, told
        looked = inspect_lease(ours)
        assert looked.ok, looked.message


def _restart_all(settings: Settings, server: KubernetesServer, own_namespace: str) -> None:
    """Try, restart and follow every workload of every token, as rotations and `check` do."""
    for token in settings.managed_tokens():
        record = replace(a_record(7), owner=token.owner)
        for workload in token.workloads:
            plural = f"{workload.kind.value.lower()}s"
            server.cluster.add_workload(plural, workload.namespace or own_namespace, workload.name)
            with closing(make_workloads()) as workloads:
                workloads.check(workload, token.owner)
                workloads.restart(workload, record)
                rollout = workloads.read(workload, token.owner)
            assert rollout is not None
            assert rollout.rotation_id == record.rotation_id


def _tell_of_the_pod() -> None:
    """Send an Event of each sort about the pod that the environment says this is."""
    ours, clock = pod(), FakeClock(NOW)
    assert ours is not None, "the pod does not say which it is: no Event would be told"
    sender = PodEvents(name=ours.name, namespace=ours.namespace, uid=ours.uid, clock=clock)
    observer = PodObserver(sender.put, clock)
    for event in _TOLD:
        observer(event)
    sender.close()
    assert sender.dropped == 0, "Events about the pod are not taken"
