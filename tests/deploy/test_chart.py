"""The chart: what it says when values are missing or wrong, and that what it makes is what Kubernetes and we accept."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from provisioner.settings.load import load_settings
from tests.deploy import schemas
from tests.deploy.rendered import FIRST, FULL, MINIMAL, NAMESPACE, chart, container, examples, of_kind, one, overlay
from tests.deploy.tools import CHART, ROOT, ToolError, helm
from tests.deploy.values_schema import SCHEMA, values_schema

NEEDED: Final = ("config.instance", "config.issuers", "config.stores")
SUBSETS: Final = [missing for size in (1, 2, 3) for missing in combinations(NEEDED, size)]
EVERY: Final = pytest.mark.parametrize("values", [FIRST, MINIMAL, FULL], ids=lambda file: file.stem)


def test_without_values_it_names_all_that_is_missing_with_examples() -> None:
    """Default values do not run, and one answer says everything that is to be set, ready to be copied."""
    with pytest.raises(ToolError) as refused:
        chart(None)

    said = str(refused.value)
    assert "needs 3 more of the three values that only you know" in said
    example = {"config": yaml.safe_load("\n".join(line for line in said.splitlines() if line.startswith("      ")))}
    assert example == yaml.safe_load(FIRST.read_text())
    assert set(example["config"]) == {key.removeprefix("config.") for key in NEEDED}


@pytest.mark.parametrize("missing", SUBSETS, ids=" and ".join)
def test_what_is_missing_is_named_alone_with_its_example(missing: tuple[str, ...]) -> None:
    """Whatever has been set, the rest is told at once, and only that."""
    with pytest.raises(ToolError) as refused:
        chart(FIRST, *(f"{key}=null" for key in missing))

    said = str(refused.value)
    assert f"needs {len(missing)} more of" in said
    assert [f"{key} is missing" in said for key in NEEDED] == [key in missing for key in NEEDED]
    example = yaml.safe_load("\n".join(line for line in said.splitlines() if line.startswith("      ")))
    assert {f"config.{key}" for key in example} == set(missing)


def test_who_installs_without_a_token_is_told_so_and_how_to_add_one() -> None:
    """The notes say it with a token of the issuer and the store that were given; with a token they do not."""

    def notes(values: Path) -> str:
        said = helm(
            "install", "provisioner", str(CHART), "-n", NAMESPACE, "--values", str(values), "--dry-run=client"
        ).partition("\nNOTES:\n")[2]
        assert "provisioner is installed, in " in said
        return said

    first = notes(FIRST)
    block = re.search(r"^  config:\n    tokens:\n.*$", first, re.MULTILINE)
    assert "NO TOKEN IS CONFIGURED" in first
    assert "provisioner rotate" not in first
    assert block is not None
    (token,) = yaml.safe_load(MINIMAL.read_text())["config"]["tokens"]
    assert yaml.safe_load(block[0])["config"]["tokens"] == [token | {"issuer": "core"}]
    assert "NO TOKEN IS CONFIGURED" not in notes(MINIMAL)
    assert "provisioner rotate NAME" in notes(MINIMAL)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("config.server.listen=127.0.0.1:8080", "config.server.listen is the pod's loopback"),
        ("config.server.admin_socket=/tmp/admin.sock", "config.server.admin_socket is outside /run/provisioner"),
        ("networkPolicy.egress.enabled=true", "networkPolicy.egress.rules is empty"),
        ("secretMounts[0].name=tmp", "the mount tmp has a name that is taken"),
        ("config.tokens=null", "at '/config/tokens': got null, want array"),
        ("replica=3", "additional properties 'replica' not allowed"),
        ("config.stores.vault.adress=x", "at '/config/stores/vault': additional properties 'adress' not allowed"),
        ("config.tokens[0].rotate_att=0.5", "at '/config/tokens/0': additional properties 'rotate_att' not allowed"),
        ("terminationGracePeriodSeconds=20", "at '/terminationGracePeriodSeconds': minimum"),
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
    ],
)
def test_what_cannot_work_is_refused(setting: str, says: str) -> None:
    """A mistake in the values ends the installation with its place, instead of a pod that does not start."""
    with pytest.raises(ToolError) as refused:
        chart(MINIMAL, setting)

    assert says in str(refused.value)


def test_all_that_cannot_work_is_said_at_once() -> None:
    """Two mistakes need one look."""
    with pytest.raises(ToolError) as refused:
        chart(MINIMAL, "config.server.listen=localhost:1", "config.server.admin_socket=/x")

    assert "config.server.listen" in str(refused.value)
    assert "config.server.admin_socket" in str(refused.value)


@EVERY
def test_helm_lint_is_content(values: Path) -> None:
    """No warning either."""
    said = helm("lint", "--strict", str(CHART), "--values", str(values))

    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_the_schema_of_values_is_fresh() -> None:
    """Under `config` stands the configuration's own schema; `make chart` writes it anew."""
    assert SCHEMA.read_text() == values_schema()


@pytest.mark.parametrize("version", schemas.versions())
def test_every_object_is_valid_in_each_version_of_kubernetes(version: str) -> None:
    """No misspelt field, in the chart, the overlay and the examples."""
    everything = [*chart(FIRST), *chart(MINIMAL), *chart(FULL), *overlay(), *examples()]
    ours = [each for each in everything if each["kind"] not in schemas.FOREIGN]

    assert len(ours) > 30
    assert [problem for each in ours for problem in schemas.problems(each, version)] == []


def test_all_versions_from_ours_on_are_looked_at() -> None:
    """The package carries them from 1.30 to 1.37."""
    assert [each.removesuffix(".0") for each in schemas.versions()] == [f"1.{minor}" for minor in range(30, 38)]


@EVERY
def test_our_own_reader_accepts_the_configuration(values: Path, tmp_path: Path) -> None:
    """What the ConfigMap holds is a configuration, with the Lease in the release's namespace."""
    file = tmp_path / "provisioner.yaml"
    file.write_text(one("ConfigMap", chart(values))["data"]["provisioner.yaml"])

    settings, _ = load_settings(file)

    assert settings.instance == "prod-eu"
    assert settings.leader_election.enabled
    assert (settings.leader_election.lease_name, settings.leader_election.namespace) == ("provisioner", "provisioner")
    assert str(settings.server.admin_socket).startswith("/run/provisioner/")


def test_vaults_own_token_goes_to_each_login_that_names_none() -> None:
    """With vaultToken on, store and reader log in with the token of that audience, which is mounted there."""
    rendered = chart(FULL)
    store = yaml.safe_load(one("ConfigMap", rendered)["data"]["provisioner.yaml"])["stores"]["vault"]
    (volume,) = [
        each
        for each in one("Deployment", rendered)["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "vault-token"
    ]
    (mount,) = [each["mountPath"] for each in container(rendered)["volumeMounts"] if each["name"] == "vault-token"]
    (source,) = volume["projected"]["sources"]

    assert source["serviceAccountToken"]["audience"] == "vault"
    where = {"file": f"{mount}/{source['serviceAccountToken']['path']}"}
    assert [store["auth"]["jwt"], store["reader"]["jwt"]] == [where, where]


def test_a_changed_configuration_replaces_the_pods() -> None:
    """The checksum on the pods follows the configuration, and nothing else."""

    def checksum(*settings: str) -> Any:
        template = one("Deployment", chart(MINIMAL, *settings))["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/config"]

    assert checksum("config.instance=other") != checksum()
    assert checksum("replicas=5") == checksum()


def test_monitoring_is_off_unless_it_is_switched_on() -> None:
    """Clusters without the operator have no such kinds."""
    kinds = {each["kind"] for each in chart(MINIMAL)}

    assert not kinds & schemas.FOREIGN
    assert {each["kind"] for each in chart(FULL)} >= schemas.FOREIGN


def test_prometheus_finds_the_port() -> None:
    """The ServiceMonitor selects the Service by its labels and port."""
    rendered = chart(FULL)
    monitor, service = one("ServiceMonitor", rendered)["spec"], one("Service", rendered)

    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["endpoints"][0]["path"] == "/metrics"


def test_everything_can_be_switched_off() -> None:
    """Who brings an account, roles and policies of their own gets none from us."""
    off = ("serviceAccount.create=false", "rbac.create=false", "podDisruptionBudget.enabled=false")
    rendered = chart(MINIMAL, *off, "serviceAccount.name=theirs", "networkPolicy.enabled=false")

    assert sorted(each["kind"] for each in rendered) == ["ConfigMap", "Deployment", "Service"]
    assert one("Deployment", rendered)["spec"]["template"]["spec"]["serviceAccountName"] == "theirs"


def test_traffic_comes_in_at_one_port_and_goes_out_where_it_is_allowed() -> None:
    """The policy lets in the named port alone; with egress on, DNS and the given rules."""
    default, full = (one("NetworkPolicy", chart(values))["spec"] for values in (MINIMAL, FULL))

    assert default["policyTypes"] == ["Ingress"]
    assert default["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert full["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"][0]["port"] for rule in full["egress"]] == [53, 443, 8200]
    selector = one("Deployment", chart(FULL))["spec"]["selector"]
    assert [each["spec"]["podSelector"] for each in of_kind("NetworkPolicy", chart(FULL))] == [selector]


def test_every_value_is_in_the_documentation() -> None:
    """The table names each value that the schema knows, and no other."""
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    _, _, table = text.partition("## Values")
    first_columns = [line.split("|")[1] for line in table.partition("\n## ")[0].splitlines() if line.startswith("| `")]

    named = {name.partition(".")[0] for column in first_columns for name in re.findall(r"`([\w.]+)`", column)}
    assert named == set(json.loads(SCHEMA.read_text())["properties"]) - {"global"}


def test_the_values_in_the_documentation_work(tmp_path: Path) -> None:
    """Who copies them has an installation."""
    (block,) = re.findall(r"```yaml\n(image:.*?)```", (ROOT / "docs" / "kubernetes.md").read_text(), re.DOTALL)
    file = tmp_path / "values.yaml"
    file.write_text(block)

    assert one("ConfigMap", chart(file))["data"] == one("ConfigMap", chart(MINIMAL))["data"]
