"""RBAC grants exactly what the code calls: nothing more, nothing less, nothing for the whole cluster."""

from typing import Final

from tests.deploy.calls import Call, calls, granted
from tests.deploy.rendered import FULL, MINIMAL, NAMESPACE, chart, of_kind, one, overlay

CLUSTER_WIDE: Final = ("ClusterRole", "ClusterRoleBinding")
RESTARTS: Final = frozenset(
    {
        ("telegraf", "deployments", "telegraf"),
        ("telegraf", "deployments", "telegraf-gateway"),
        ("telegraf", "daemonsets", "telegraf-node"),
        ("tools", "statefulsets", "backup"),
    }
)
"""What `on_rotate` names in the values with everything switched on."""


def test_the_chart_grants_what_is_called() -> None:
    """Without on_rotate: the Lease and Events."""
    assert granted(chart(MINIMAL)) == calls(lease="provisioner")


def test_the_chart_grants_what_on_rotate_names() -> None:
    """With on_rotate: each workload by its name, in its own namespace."""
    assert granted(chart(FULL)) == calls(lease="provisioner", restarts=RESTARTS)


def test_the_overlay_grants_what_is_called() -> None:
    """Kustomize puts its hash into no name that the Role restricts to."""
    restarts = frozenset({(NAMESPACE, "deployments", "telegraf")})

    assert granted(overlay()) == calls(lease="provisioner", restarts=restarts)


def test_without_leader_election_no_lease_is_granted() -> None:
    """What is not called is not allowed."""
    allowed = granted(chart(MINIMAL, "config.leader_election.enabled=false"))

    assert allowed == {Call(namespace=NAMESPACE, resource="events.k8s.io/events", verb="create")}


def test_the_lease_can_live_elsewhere() -> None:
    """Name and namespace of the Lease are the configuration's, and the right to it goes there."""
    settings = ("config.leader_election.namespace=leases", "config.leader_election.lease_name=ours")

    leases = {call for call in granted(chart(MINIMAL, *settings)) if call.resource.endswith("leases")}

    assert {call.namespace for call in leases} == {"leases"}
    assert {call.name for call in leases if call.verb != "create"} == {"ours"}


def test_two_releases_may_restart_workloads_in_one_namespace() -> None:
    """In a foreign namespace the Role's name says whose it is."""
    (role,) = [each for each in of_kind("Role", chart(FULL)) if each["metadata"]["namespace"] == "telegraf"]

    assert role["metadata"]["name"] == f"provisioner-of-{NAMESPACE}"


def test_nothing_is_granted_for_the_whole_cluster() -> None:
    """Roles alone, and the account has no right but by them."""
    for rendered in (chart(MINIMAL), chart(FULL), overlay()):
        assert [each for kind in CLUSTER_WIDE for each in of_kind(kind, rendered)] == []
        assert one("ServiceAccount", rendered)["automountServiceAccountToken"] is False
