"""What the chart, Kustomize and the examples come to, as plain objects."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.tools import CHART, DEPLOY, helm, kubectl

Object = dict[str, Any]
NAMESPACE: Final = "provisioner"
POD_UID: Final = "0b5a6f3e-7d52-4c08-9a55-1f2f0e5d7c11"
FIRST: Final = CHART / "ci" / "first-values.yaml"
"""The three that are needed, and nothing else."""
MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
FULL: Final = CHART / "ci" / "full-values.yaml"
OVERLAY: Final = DEPLOY / "kustomize" / "overlays" / "example"


@cache
def chart(values: Path | None, *settings: str) -> tuple[Object, ...]:
    """Give the chart's objects, for a release `provisioner` in a namespace of that name. Raises ToolError."""
    return release("provisioner", NAMESPACE, values, *settings)


def release(name: str, namespace: str, values: Path | None, *settings: str) -> tuple[Object, ...]:
    """Give the chart's objects for a release of any name. Raises ToolError."""
    files = ("--values", str(values)) if values else ()
    options = [part for setting in settings for part in ("--set", setting)]
    return objects(helm("template", name, str(CHART), "--namespace", namespace, *files, *options))


@cache
def overlay() -> tuple[Object, ...]:
    """Give the objects of the example overlay."""
    return objects(kubectl("kustomize", str(OVERLAY)))


@cache
def examples() -> tuple[Object, ...]:
    """Give the objects in ``deploy/examples``."""
    return tuple(each for file in sorted((DEPLOY / "examples").glob("*.yaml")) for each in objects(file.read_text()))


def objects(text: str) -> tuple[Object, ...]:
    """Read the objects in a text."""
    return tuple(each for each in yaml.safe_load_all(text) if each)


def of_kind(kind: str, all_of_them: tuple[Object, ...]) -> list[Object]:
    """Give those of one kind."""
    return [each for each in all_of_them if each["kind"] == kind]


def one(kind: str, all_of_them: tuple[Object, ...]) -> Object:
    """Give the only one of its kind."""
    (found,) = of_kind(kind, all_of_them)
    return found


def pods(all_of_them: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    """Give the specification of every pod that comes of them, with the name of what makes it."""
    for each in all_of_them:
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield f"{each['kind']} {each['metadata'].get('name', 'without a name')}", template["spec"]


def configuration(all_of_them: tuple[Object, ...], folder: Path) -> Path:
    """Write the file that the ConfigMap holds, as the pod finds it; give where."""
    file = folder / "provisioner.yaml"
    file.write_text(one("ConfigMap", all_of_them)["data"]["provisioner.yaml"])
    return file


def environment(all_of_them: tuple[Object, ...]) -> dict[str, str]:
    """Give the variables of the daemon's container as a node would set them for one of its pods."""
    deployment = one("Deployment", all_of_them)["metadata"]
    pod = {"name": f"{deployment['name']}-5d9f7c-x2x4q", "namespace": deployment["namespace"], "uid": POD_UID}
    fields = {f"metadata.{name}": value for name, value in pod.items()}
    return {
        each["name"]: each["value"] if "value" in each else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container(all_of_them)["env"]
    }


def container(all_of_them: tuple[Object, ...]) -> Object:
    """Give the daemon's container in its Deployment."""
    (found,) = one("Deployment", all_of_them)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found
