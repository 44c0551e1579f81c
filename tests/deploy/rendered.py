"""What the chart, Kustomize and the examples come to, as plain objects."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.tools import CHART, DEPLOY, helm, kubectl

Object = dict[str, Any]
NAMESPACE: Final = "provisioner"
FIRST: Final = CHART / "ci" / "first-values.yaml"
"""The three that are needed, and nothing else."""
MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
FULL: Final = CHART / "ci" / "full-values.yaml"
OVERLAY: Final = DEPLOY / "kustomize" / "overlays" / "example"


@cache
def chart(values: Path | None, *settings: str) -> tuple[Object, ...]:
    """Give the chart's objects, for a release `provisioner` in a namespace of that name. Raises ToolError."""
    files = ("--values", str(values)) if values else ()
    options = [part for setting in settings for part in ("--set", setting)]
    return objects(helm("template", "provisioner", str(CHART), "--namespace", NAMESPACE, *files, *options))


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


def container(all_of_them: tuple[Object, ...]) -> Object:
    """Give the daemon's container in its Deployment."""
    (found,) = one("Deployment", all_of_them)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found
