"""Odd values: names that YAML takes for something else, that are long, or foreign: what is made of them is valid."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from provisioner.settings.load import load_settings
from tests.deploy import schemas
from tests.deploy.calls import granted
from tests.deploy.rendered import FULL, MINIMAL, Object, configuration, container, of_kind, one, overlay, pods, release
from tests.deploy.tools import ToolError

LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
SERVICE: Final = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAIN: Final = r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL_VALUE: Final = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
TEXTS: Final = (
    *("yes", "on", "no", "n", "~", "null", "true", "1e3", "1_000", "0x10", "012", "0o14", "12:30:45", "2026-01-01"),
    *("", " ", " around ", "-", "- a", "a: b", "a #b", "#", "!tag", "*alias", "&anchor", "|", ">", "%", "@", "`"),
    *(
        "'",
        '"',
        "\\",
        "\\n",
        "{{ .Values }}",
        "${HOME}",
        "$(HOME)",
        "[]",
        "{}",
        "ünï",
        "令牌",
        "😀",
        "\u00a0",
        "\ufeff",
    ),
    *("two\nlines", "trailing\n", "\ttab", ".inf", ".nan", "=x", "x" * 200),
)


def wrong(everything: tuple[Object, ...]) -> Iterator[str]:
    """Say what an API server would have against objects: by the schemas, and by its rules of names and labels."""
    for each in everything:
        kind, metadata = each["kind"], each["metadata"]
        if kind not in schemas.FOREIGN:
            yield from schemas.problems(each, schemas.versions()[0])
        named = SERVICE if kind == "Service" else SUBDOMAIN
        for what, text, pattern in (
            ("name", metadata["name"], named),
            ("namespace", metadata["namespace"], LABEL),
            *(("label", value, LABEL_VALUE) for value in labels(each)),
        ):
            if not isinstance(text, str) or not re.fullmatch(pattern, text):
                yield f"{kind}: {what} {text!r}"
    for name, pod in pods(everything):
        for volume in pod["volumes"]:
            if not re.fullmatch(LABEL, str(volume["name"])):
                yield f"{name}: volume {volume['name']!r}"


def labels(thing: Object) -> Iterator[Any]:
    """Give the value of every label, of the object and of its pods, and what is selected."""
    spec = thing.get("spec", {})
    selectors = [spec.get(name, {}) for name in ("selector", "podSelector")]
    template = spec.get("template", {}).get("metadata", {})
    for where in (thing["metadata"], template):
        yield from where.get("labels", {}).values()
    for selector in selectors:
        yield from selector.get("matchLabels", selector).values()


@pytest.mark.parametrize("namespace", ["123", "1e3", "true", "n" * 63])
def test_a_namespace_may_be_called_anything(namespace: str) -> None:
    """Every object is there, valid, and the right to workloads of that namespace, too."""
    workload = ("config.tokens[0].on_rotate[4].restart.kind=Deployment", "config.tokens[0].on_rotate[4].restart.name=x")
    everything = release("provisioner", namespace, FULL, *workload)

    assert list(wrong(everything)) == []
    assert {each["metadata"]["namespace"] for each in everything} == {namespace, "telegraf", "tools"}
    assert (namespace, "apps/deployments", "x") in {
        (each.namespace, each.resource, each.name) for each in granted(everything)
    }


@pytest.mark.parametrize("name", ["true", "a.b.c", "x" * 53, "a" * 30 + "-" * 22 + "b", "p.provisioner"])
def test_a_release_may_be_called_anything_that_helm_takes(name: str, tmp_path: Path) -> None:
    """The objects are valid, fit to each other, and our own reader takes the name of the Lease."""
    everything = release(name, "tools", FULL)

    assert list(wrong(everything)) == []
    template = one("Deployment", everything)["spec"]["template"]
    selected = one("Service", everything)["spec"]["selector"]
    assert selected.items() <= template["metadata"]["labels"].items()
    assert selected["app.kubernetes.io/instance"] == name
    lease = load_settings(configuration(everything, tmp_path))[0].leader_election.lease_name
    assert lease in {each.name for each in granted(everything) if each.verb == "update"}
    assert one("ServiceAccount", everything)["metadata"]["name"] == template["spec"]["serviceAccountName"]


@pytest.mark.parametrize("name", ["1e3", "1.5"])
def test_a_release_that_begins_with_a_digit_needs_another_name(name: str) -> None:
    """No Service may be called so; with fullnameOverride all is well."""
    with pytest.raises(ToolError, match="a Service must begin with a letter: set fullnameOverride"):
        release(name, "tools", MINIMAL)

    assert list(wrong(release(name, "tools", FULL, "fullnameOverride=provisioner"))) == []


@pytest.mark.parametrize("word", ["true", "null", "no"])
def test_overrides_and_names_may_be_words_of_yaml(word: str, tmp_path: Path) -> None:
    """They are quoted wherever they stand."""
    values = yaml.safe_load(FULL.read_text())
    values |= {"nameOverride": word, "fullnameOverride": word, "priorityClassName": word, "podLabels": {"x": word}}
    values["serviceAccount"]["name"] = word
    values["secretMounts"][0] |= {"name": word, "secretName": word}
    values["configMapMounts"][0]["configMapName"] = word
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))

    everything = release("provisioner", word, file)

    assert list(wrong(everything)) == []
    assert {each["metadata"]["name"] for each in of_kind("Deployment", everything)} == {word}


def test_texts_arrive_as_they_are(tmp_path: Path) -> None:
    """Whatever stands in the values, our own reader finds the same in the ConfigMap."""
    values = yaml.safe_load(MINIMAL.read_text())
    values["config"]["instance"] = "1e3"
    (token,) = values["config"]["tokens"]
    token["extra"] = {f"field-{number}": text for number, text in enumerate(TEXTS)}
    token["labels"] = {text: "x" for text in TEXTS if text.strip()}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values, default_style='"'))

    settings, _ = load_settings(configuration(release("provisioner", "tools", file), tmp_path))

    assert settings.instance == "1e3"
    assert list(settings.tokens[0].extra.values()) == list(TEXTS)
    assert set(settings.tokens[0].labels) == {text for text in TEXTS if text.strip()}


BY_THE_SCHEMA: Final = """
config: {instance: 1.0e+3, server: {listen: 8080}}
nameOverride: My App
fullnameOverride: 1a
podLabels: {team: größer, a: true}
env: [{name: A, value: 1}]
serviceAccount: {name: Me}
"""
BY_THE_SCHEMA_SAID: Final = (
    "at '/config/instance': got number, want",
    "at '/config/server/listen': got number, want string",
    "at '/nameOverride'",
    "at '/fullnameOverride'",
    "at '/podLabels/team'",
    "at '/podLabels/a': got boolean, want string",
    "at '/env/0/value': got number, want string",
    "at '/serviceAccount/name'",
)
BY_THE_CHART: Final = """
config: {server: {listen: "0.0.0.0:0"}}
podLabels: {app.kubernetes.io/name: x}
podAnnotations: {checksum/config: x}
env: [{name: TMPDIR, value: /x}, {name: A, value: b}, {name: A, value: c}]
secretMounts:
  - {name: a, secretName: a, mountPath: /tmp/}
  - {name: b, secretName: a, mountPath: /etc/provisioner/x}
  - {name: c, secretName: a, mountPath: /opt/provisioner/lib}
  - {name: d, secretName: a, mountPath: /secrets}
configMapMounts:
  - {name: e, configMapName: a, mountPath: /secrets}
"""
BY_THE_CHART_SAID: Final = (
    "config.server.listen names no port",
    "podLabels has app.kubernetes.io/name",
    "podAnnotations has checksum/config",
    "the variable TMPDIR of env is set already",
    "the variable A of env is set already",
    "the mount a would hide what is at /tmp:",
    "the mount b would hide what is at /etc/provisioner/x:",
    "the mount c would hide what is at /opt/provisioner/lib:",
    "the mount e would hide what is at /secrets:",
)


@pytest.mark.parametrize(
    ("changes", "says"),
    [(BY_THE_SCHEMA, BY_THE_SCHEMA_SAID), (BY_THE_CHART, BY_THE_CHART_SAID)],
    ids=["by the schema", "by the chart"],
)
def test_what_would_not_come_up_is_refused_with_its_place(changes: str, says: tuple[str, ...], tmp_path: Path) -> None:
    """At `helm install`, all at once, and not by a pod that is not made, or does not start."""
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(_merged(yaml.safe_load(MINIMAL.read_text()), yaml.safe_load(changes))))

    with pytest.raises(ToolError) as refused:
        release("provisioner", "tools", file)

    assert [each for each in says if each not in str(refused.value)] == []


@pytest.mark.parametrize("listen", ["0.0.0.0", "0.0.0.0:65536", ":", "localhost:8080", "[::1]:8080"])
def test_an_address_that_no_probe_reaches_is_refused(listen: str) -> None:
    """By what is wrong with it."""
    with pytest.raises(ToolError, match=r"config\.server\.listen (names no port|is the pod's loopback)"):
        release("provisioner", "tools", MINIMAL, f"config.server.listen={listen}")


@pytest.mark.parametrize(("listen", "port"), [("[::]:8080", 8080), ("0.0.0.0:00080", 80), ("0.0.0.0:65535", 65535)])
def test_the_port_of_an_address_is_a_number(listen: str, port: int) -> None:
    """Of the Service and the container, as the daemon reads it."""
    everything = release("provisioner", "tools", MINIMAL, f"config.server.listen={listen}")

    assert [each["port"] for each in one("Service", everything)["spec"]["ports"]] == [port]
    assert [each["containerPort"] for each in container(everything)["ports"]] == [port]


@pytest.mark.parametrize("nothing", ["config.server=null", "config.leader_election=null"])
def test_what_is_taken_away_has_its_default(nothing: str, tmp_path: Path) -> None:
    """A pod needs an address that probes reach, and one of two replicas leads, whoever empties the section."""
    settings, _ = load_settings(configuration(release("provisioner", "tools", MINIMAL, nothing), tmp_path))

    assert settings.server.listen == "0.0.0.0:8080"
    assert str(settings.server.admin_socket) == "/run/provisioner/admin.sock"
    assert settings.leader_election.enabled


def test_nothing_at_all_is_told_as_what_is_missing() -> None:
    """Who takes the whole configuration away reads the same as who has not begun."""
    with pytest.raises(ToolError, match="needs 3 more of the three values"):
        release("provisioner", "tools", None, "config=null")


def test_the_overlay_passes_the_same_rules() -> None:
    """Names and labels of Kustomize's objects, too."""
    everything = tuple(each for each in overlay() if each["kind"] != "Namespace")

    assert list(wrong(everything)) == []


def _merged(values: Object, changes: Object) -> Object:
    for key, value in changes.items():
        values[key] = _merged(values[key], value) if isinstance(values.get(key), dict) else value
    return values
