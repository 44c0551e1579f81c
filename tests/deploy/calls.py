"""What our code calls in Kubernetes, and what Roles grant: the one place that says so."""

from dataclasses import dataclass
from typing import Final

from tests.deploy.rendered import NAMESPACE, Object, of_kind, one

RESTARTED: Final = frozenset({"deployments", "statefulsets", "daemonsets"})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Call:
    """One verb on one resource; without a name where a name cannot restrict it."""

    namespace: str
    resource: str
    verb: str
    name: str | None = None


def calls(*, lease: str, restarts: frozenset[tuple[str, str, str]] = frozenset()) -> set[Call]:
    """Give what the code calls. ``restarts``: namespace, resource and name of what `on_rotate` names.

    Events on the pod are created; the Lease is read, made and renewed (``runtime/lease_kubernetes.py``); a workload is
    patched and its roll-out read.
    """
    ours = {
        Call(namespace=NAMESPACE, resource="events.k8s.io/events", verb="create"),
        Call(namespace=NAMESPACE, resource="coordination.k8s.io/leases", verb="create"),
        Call(namespace=NAMESPACE, resource="coordination.k8s.io/leases", verb="get", name=lease),
        Call(namespace=NAMESPACE, resource="coordination.k8s.io/leases", verb="update", name=lease),
    }
    theirs = {
        Call(namespace=namespace, resource=f"apps/{resource}", verb=verb, name=name)
        for namespace, resource, name in restarts
        for verb in ("get", "patch")
    }
    return ours | theirs


def granted(all_of_them: tuple[Object, ...]) -> set[Call]:
    """Give what the Roles that are bound to our ServiceAccount allow, one call each."""
    account = one("ServiceAccount", all_of_them)["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    bound = {
        (binding["metadata"]["namespace"], binding["roleRef"]["name"])
        for binding in of_kind("RoleBinding", all_of_them)
        if binding["subjects"] == [subject] and binding["roleRef"]["kind"] == "Role"
    }
    return {
        Call(namespace=role["metadata"]["namespace"], resource=f"{group}/{resource}", verb=verb, name=name)
        for role in of_kind("Role", all_of_them)
        if (role["metadata"]["namespace"], role["metadata"]["name"]) in bound
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [None])
    }
