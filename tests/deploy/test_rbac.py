"""RBAC grants exactly what the code asks for when it runs: no more, no less, and nothing for the whole cluster."""

from pathlib import Path
from shutil import copytree
from typing import Final

import pytest

from tests.deploy.calls import Call, asked, granted
from tests.deploy.rendered import (
    FIRST,
    FULL,
    MINIMAL,
    NAMESPACE,
    OVERLAY,
    Object,
    chart,
    objects,
    of_kind,
    one,
    overlay,
)
from tests.deploy.tools import DEPLOY, kubectl

CLUSTER_WIDE: Final = ("ClusterRole", "ClusterRoleBinding")
WAYS: Final[dict[str, tuple[Path | None, tuple[str, ...]]]] = {
    "three values": (FIRST, ()),
    "everything switched on": (FULL, ()),
    "without leader election": (FULL, ("config.leader_election.enabled=false",)),
    "a lease elsewhere": (
        MINIMAL,
        ("config.leader_election.namespace=leases", "config.leader_election.lease_name=our"),
    ),
    "other names": (MINIMAL, ("fullnameOverride=other", "serviceAccount.name=theirs")),
    "a lease among workloads": (FULL, ("config.leader_election.namespace=telegraf",)),
    "a workload of our own namespace": (
        MINIMAL,
        ("config.tokens[0].on_rotate[0].restart.kind=StatefulSet", "config.tokens[0].on_rotate[0].restart.name=app"),
    ),
    "overlay": (None, ()),
}


RESTARTS_OF_THE_OVERLAY: Final = {"kustomization.yaml": "# - restarts.yaml", "provisioner.yaml": "# on_rotate: "}
"""What stands in its files as a comment, and belongs together."""


def rendered(way: str) -> tuple[Object, ...]:
    """Give the objects of one way."""
    values, settings = WAYS[way]
    return overlay() if values is None else chart(values, *settings)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_granted_is_what_is_asked_for(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Election, restarts, Events and `check` are run under the Roles; nothing is refused, no right is left unused."""
    everything = rendered(way)

    called = asked(everything, tmp_path, monkeypatch)

    assert sorted(granted(everything)) == sorted(called)


def test_the_overlays_restarts_are_granted_once_they_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes the two comments away has the restart and the right to it."""
    folder = tmp_path / "kustomize" / OVERLAY.relative_to(DEPLOY / "kustomize")
    copytree(DEPLOY / "kustomize", tmp_path / "kustomize")
    for name, comment in RESTARTS_OF_THE_OVERLAY.items():
        text = (folder / name).read_text()
        assert text.count(comment) == 1
        (folder / name).write_text(text.replace(comment, comment.removeprefix("# ")))
    everything = objects(kubectl("kustomize", str(folder)))

    called = asked(everything, tmp_path, monkeypatch)

    assert sorted(granted(everything)) == sorted(called)
    assert {(call.name, call.verb) for call in called if call.resource == "apps/deployments"} == {
        ("telegraf", "get"),
        ("telegraf", "patch"),
    }


def test_what_is_asked_for_is_what_the_documentation_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events and the Lease in our own namespace, each workload by its name in its own."""
    called = asked(rendered("everything switched on"), tmp_path, monkeypatch)

    assert {(call.resource, call.verb, bool(call.name)) for call in called if call.namespace == NAMESPACE} == {
        ("events.k8s.io/events", "create", False),
        ("coordination.k8s.io/leases", "create", False),
        ("coordination.k8s.io/leases", "get", True),
        ("coordination.k8s.io/leases", "update", True),
    }
    assert {(call.namespace, call.resource, call.name) for call in called if call.namespace != NAMESPACE} == {
        ("telegraf", "apps/deployments", "telegraf"),
        ("telegraf", "apps/deployments", "telegraf-gateway"),
        ("telegraf", "apps/daemonsets", "telegraf-node"),
        ("tools", "apps/statefulsets", "backup"),
    }
    assert {call.verb for call in called if call.namespace != NAMESPACE} == {"get", "patch"}


def test_without_leader_election_no_lease_is_granted() -> None:
    """What is not called is not allowed."""
    allowed = granted(chart(MINIMAL, "config.leader_election.enabled=false"))

    assert allowed == {Call(namespace=NAMESPACE, resource="events.k8s.io/events", verb="create")}


def test_two_releases_may_restart_workloads_in_one_namespace() -> None:
    """In a foreign namespace the Role's name says whose it is."""
    (role,) = [each for each in of_kind("Role", chart(FULL)) if each["metadata"]["namespace"] == "telegraf"]

    assert role["metadata"]["name"] == f"provisioner-of-{NAMESPACE}"


def test_nothing_is_granted_for_the_whole_cluster() -> None:
    """Roles alone, and the account has no right but by them."""
    for everything in (chart(MINIMAL), chart(FULL), overlay()):
        assert [each for kind in CLUSTER_WIDE for each in of_kind(kind, everything)] == []
        assert one("ServiceAccount", everything)["automountServiceAccountToken"] is False
