"""The pods of chart, overlay and examples: no rights that they do not need, and room where they write."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.deploy.rendered import FULL, MINIMAL, Object, chart, container, examples, one, overlay, pods

WAYS: Final[dict[str, Callable[[], tuple[Object, ...]]]] = {
    "minimal": lambda: chart(MINIMAL),
    "full": lambda: chart(FULL),
    "overlay": overlay,
    "examples": examples,
}
each_way = pytest.mark.parametrize("way", WAYS)
each_daemon = pytest.mark.parametrize("way", [way for way in WAYS if way != "examples"])
DAEMON_ENDS_WITHIN: Final = 30


@each_way
def test_pod_security_is_restricted(way: str) -> None:
    """Each rule of the Pod Security Standard `restricted`, and a read-only file system besides."""
    for _, pod in pods(WAYS[way]()):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
        assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {
            "configMap",
            "emptyDir",
            "projected",
            "secret",
        }
        for each in pod["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }


@each_way
def test_what_is_written_stays_in_memory_and_secrets_are_not_for_everybody(way: str) -> None:
    """Every emptyDir is in memory with a limit, and every mounted Secret readable by owner and group alone."""
    for _, pod in pods(WAYS[way]()):
        for volume in pod["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["medium"] == "Memory"
                assert volume["emptyDir"]["sizeLimit"]
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
        mounted = {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@each_way
def test_resources_are_asked_for_and_memory_is_limited(way: str) -> None:
    """A pod has its place on a node, and cannot take that of others."""
    for _, pod in pods(WAYS[way]()):
        for each in pod["containers"]:
            assert set(each["resources"]["requests"]) == {"cpu", "memory"}
            assert set(each["resources"]["limits"]) == {"memory"}


@each_daemon
def test_the_daemon_can_write_where_it_must(way: str) -> None:
    """HOME, TMPDIR and the socket's directory are volumes; nothing else of it can be written."""
    daemon = container(WAYS[way]())
    writable = {mount["mountPath"] for mount in daemon["volumeMounts"] if not mount.get("readOnly")}
    values: dict[str, Any] = {each["name"]: each.get("value") for each in daemon["env"]}

    assert writable == {values["HOME"], values["TMPDIR"], "/run/provisioner"}


@each_daemon
def test_it_is_asked_for_its_health_and_given_time_to_end(way: str) -> None:
    """Liveness and readiness are the documented addresses; the grace is longer than the daemon takes to end."""
    daemon = container(WAYS[way]())
    asked = {probe: daemon[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    spec = one("Deployment", WAYS[way]())["spec"]["template"]["spec"]

    assert asked == {
        "startupProbe": {"path": "/healthz", "port": "http"},
        "livenessProbe": {"path": "/healthz", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }
    assert spec["terminationGracePeriodSeconds"] > DAEMON_ENDS_WITHIN + 10


@each_daemon
def test_two_replicas_keep_apart_and_one_is_always_there(way: str) -> None:
    """Spread over nodes and zones, one at most away on purpose, none away while a new one comes."""
    deployment = one("Deployment", WAYS[way]())["spec"]
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    budget = one("PodDisruptionBudget", WAYS[way]())["spec"]

    assert deployment["replicas"] >= 2
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert (budget["maxUnavailable"], budget["selector"]) == (1, deployment["selector"])


def test_jobs_are_none_of_the_daemons_pods() -> None:
    """The Service, the budget and the policy of the daemon do not take the Jobs' pods for it."""
    selector = one("Deployment", overlay())["spec"]["selector"]["matchLabels"]

    for kind in ("CronJob", "Job"):
        spec = one(kind, examples())["spec"]
        labels = spec.get("jobTemplate", {}).get("spec", spec)["template"]["metadata"]["labels"]
        assert not selector.items() <= labels.items()
