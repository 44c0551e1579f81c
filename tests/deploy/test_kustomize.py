"""Kustomize and the chart come to the same, and the examples fit to both."""

from copy import deepcopy
from operator import itemgetter
from pathlib import Path
from typing import Final

import pytest
import yaml

from provisioner.settings.load import load_settings
from tests.deploy.rendered import MINIMAL, OVERLAY, Object, chart, examples, of_kind, one, overlay
from tests.deploy.tools import DEPLOY, kubectl

ONLY_HELMS: Final = {"app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}
SAME: Final = ("Deployment", "Service", "ServiceAccount", "Role", "RoleBinding", "PodDisruptionBudget", "NetworkPolicy")


def plain(thing: Object) -> Object:
    """Give an object without what Helm and Kustomize add in their own ways: labels, checksum, hash, registry."""
    thing = deepcopy(thing)
    labels = thing["metadata"]["labels"]
    thing["metadata"]["labels"] = {key: value for key, value in labels.items() if key not in ONLY_HELMS}
    if thing["kind"] == "Deployment":
        template = thing["spec"]["template"]
        template["metadata"].pop("annotations", None)
        (container,) = template["spec"]["containers"]
        container["image"] = container["image"].rpartition("/")[2]
        for each in (template["spec"]["volumes"], container["volumeMounts"]):
            each.sort(key=itemgetter("name"))
        for volume in template["spec"]["volumes"]:
            if volume["name"] == "config":
                volume["configMap"]["name"] = "provisioner-config"
    return thing


@pytest.mark.parametrize("kind", SAME)
def test_both_ways_come_to_the_same(kind: str) -> None:
    """The overlay's object is the chart's, for the same configuration."""
    assert plain(one(kind, overlay())) == plain(one(kind, chart(MINIMAL)))


def test_no_way_has_an_object_that_the_other_lacks() -> None:
    """All kinds are compared; the namespace alone is the overlay's own, which Helm makes by `--create-namespace`."""
    kinds = sorted(each["kind"] for each in overlay() if each["kind"] != "Namespace")

    assert kinds == sorted(each["kind"] for each in chart(MINIMAL)) == sorted([*SAME, "ConfigMap"])


def test_both_ways_hold_the_same_configuration(tmp_path: Path) -> None:
    """The overlay's file is accepted by our own reader, and says what the chart's ConfigMap says."""
    settings, _ = load_settings(OVERLAY / "provisioner.yaml")
    file = tmp_path / "provisioner.yaml"
    file.write_text(one("ConfigMap", chart(MINIMAL))["data"]["provisioner.yaml"])

    assert settings.model_dump() == load_settings(file)[0].model_dump()


def test_the_pods_use_the_configuration_that_was_generated() -> None:
    """A new configuration has a new name, and the Deployment asks for that."""
    name = one("ConfigMap", overlay())["metadata"]["name"]
    (used,) = [
        volume["configMap"]["name"]
        for volume in one("Deployment", overlay())["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "config"
    ]

    assert used == name
    assert name.startswith("provisioner-config-")


def test_the_base_stands_by_itself() -> None:
    """It renders without an overlay."""
    assert len(kubectl("kustomize", str(DEPLOY / "kustomize" / "base")).split("\n---\n")) == 7


@pytest.mark.parametrize("kind", ["CronJob", "Job"])
def test_jobs_run_as_the_daemon_does(kind: str) -> None:
    """The same account, image, environment, mounts and volumes; another command."""
    daemon = plain(one("Deployment", overlay()))["spec"]["template"]["spec"]
    spec = one(kind, examples())["spec"]
    job = spec.get("jobTemplate", {}).get("spec", spec)["template"]["spec"]

    assert job["serviceAccountName"] == daemon["serviceAccountName"]
    assert sorted(job["volumes"], key=itemgetter("name")) == daemon["volumes"]
    (theirs,), (ours,) = job["containers"], daemon["containers"]
    assert sorted(theirs["volumeMounts"], key=itemgetter("name")) == ours["volumeMounts"]
    for part in ("image", "env", "securityContext"):
        assert theirs[part] == ours[part]


def test_the_commands_of_the_jobs_exist() -> None:
    """Our own command line reads what the examples say, and stops at a configuration that is not there."""
    from typer.testing import CliRunner

    from provisioner.cli.main import app
    from provisioner.domain.errors import ConfigurationError

    for kind in ("CronJob", "Job"):
        spec = one(kind, examples())["spec"]
        (container,) = spec.get("jobTemplate", {}).get("spec", spec)["template"]["spec"]["containers"]
        result = CliRunner().invoke(app, ["--config", "/nowhere.yaml", *container["args"]])
        assert isinstance(result.exception, ConfigurationError), result.output


def test_a_job_by_hand_rotates_once() -> None:
    """It is tried again, and so it names its request."""
    (job,) = of_kind("Job", examples())
    (container,) = job["spec"]["template"]["spec"]["containers"]

    assert job["spec"]["backoffLimit"] > 0
    assert any(argument.startswith("--request-id=") for argument in container["args"])
    assert "--direct" in container["args"]


def test_the_overlays_namespace_enforces_restricted_pods() -> None:
    """Kubernetes itself sees to it."""
    labels = yaml.safe_load((OVERLAY / "namespace.yaml").read_text())["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
