"""The schemas of Kubernetes, strict: a field that is misspelt is refused. Read once for each version."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator
from kubernetes_validate.utils import all_versions
from referencing import Registry, Resource

from tests.deploy.rendered import Object

OLDEST: Final = (1, 30)
FOREIGN: Final = frozenset({"ServiceMonitor", "PrometheusRule"})
"""Kinds that are no part of Kubernetes."""


def versions() -> list[str]:
    """Give the versions that are looked at: from ours on, all that the package carries."""
    return [each for each in dict.fromkeys(all_versions()) if tuple(map(int, each.split(".")[:2])) >= OLDEST]


def problems(thing: Object, version: str) -> Iterator[str]:
    """Say what that version of Kubernetes has against an object."""
    group, _, edition = thing["apiVersion"].rpartition("/")
    name = "-".join(part for part in (thing["kind"].lower(), group.partition(".")[0], edition) if part)
    for error in _validator(version, name).iter_errors(thing):
        yield f"{thing['kind']} in {version}: {'.'.join(map(str, error.absolute_path))}: {error.message}"


def _read(version: str, name: str) -> Any:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"
    return json.loads((folder / f"{name}.json").read_text())


@cache
def _definitions(version: str) -> Resource[Any]:
    return Resource.from_contents(_read(version, "_definitions"))


@cache
def _validator(version: str, name: str) -> Draft202012Validator:
    schema = _read(version, name)
    registry = _definitions(version) @ (Resource.from_contents(schema) @ Registry())
    return Draft202012Validator(schema, registry=registry)
