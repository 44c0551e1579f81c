"""``provisioner policy``: what is printed for a configuration, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from provisioner.cli.main import app
from provisioner.domain.errors import ConfigurationError
from provisioner.settings.load import load_settings

ROOT = Path(__file__).parents[3]
POLICIES = {
    "vault.hcl": ("vault",),
    "vault-reader.hcl": ("vault", "--reader"),
    "aws.json": ("aws",),
    "aws-reader.json": ("aws", "--reader"),
}
VAULT: dict[str, Any] = {"type": "vault", "address": "https://vault", "auth": {"method": "kubernetes", "role": "p"}}
AWS: dict[str, Any] = {"type": "aws-secrets-manager"}


def printed(config: Path, *arguments: str) -> tuple[str, str]:
    """Give what the command prints, and what it says besides."""
    result = CliRunner().invoke(app, ["--config", str(config), "policy", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def a_configuration(folder: Path, stores: dict[str, dict[str, Any]], *used: str) -> Path:
    """Write a configuration with one token in each of the stores used."""
    tokens = [
        {"name": name, "issuer": "cluster", "destinations": [{"store": name, "path": f"influx/{name}"}]}
        for name in used
    ]
    content = {"instance": "i", "issuers": {"cluster": {"type": "influxctl"}}, "stores": stores, "tokens": tokens}
    file = folder / "provisioner.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def refused(config: Path, *arguments: str) -> str:
    """Give why the command refuses; main makes exit status 2 of that error."""
    with pytest.raises(ConfigurationError) as caught:
        get_command(app)(["--config", str(config), "policy", *arguments], standalone_mode=False)
    return str(caught.value)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_in_deploy_are_fresh(name: str) -> None:
    """``deploy/policies`` holds what the command prints for ``config/provisioner.yaml``."""
    text, _ = printed(ROOT / "config/provisioner.yaml", *POLICIES[name])
    command = f"provisioner --config config/provisioner.yaml policy {' '.join(POLICIES[name])}"
    assert (ROOT / "deploy/policies" / name).read_text() == text, f"{command} > deploy/policies/{name}"


@pytest.mark.parametrize("arguments", POLICIES.values(), ids=POLICIES)
def test_json_holds_the_same(arguments: tuple[str, ...]) -> None:
    """For scripts: the policy, and which store and whom it is for."""
    config = ROOT / "config/provisioner.yaml"
    text, _ = printed(config, *arguments)
    shown = json.loads(printed(config, *arguments, "--output", "json")[0])
    assert (shown["store"], shown["reader"]) == (arguments[0], "--reader" in arguments)
    assert shown["policy"] == (text if arguments[0] == "vault" else json.loads(text))


def test_every_configured_path_is_named() -> None:
    """Of every token, every destination in that store; none of another's."""
    settings, _ = load_settings(ROOT / "config/provisioner.yaml")
    for store in ("vault", "aws"):
        text, _ = printed(ROOT / "config/provisioner.yaml", store)
        for place in (place for token in settings.tokens for place in token.destinations):
            assert (place.path in text) == (place.store == store)


def test_account_and_region_that_nobody_named_are_to_be_filled_in(tmp_path: Path) -> None:
    """What is missing stands there as a word, and is said beside the policy; options fill it in."""
    config = a_configuration(tmp_path, {"aws": AWS}, "aws")
    text, said = printed(config, "aws")
    assert "arn:aws:secretsmanager:REGION:ACCOUNT:secret:influx/aws-??????" in text
    assert "--account" in said
    assert "--region" in said
    text, said = printed(config, "aws", "--account", "123456789012", "--region", "cn-north-1", "--partition", "aws-cn")
    assert "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:influx/aws-??????" in text
    assert said == ""


def test_role_to_assume_says_account_and_partition(tmp_path: Path) -> None:
    """It is that role's policy; taking it on needs a right of its own."""
    role = {"role_arn": "arn:aws-cn:iam::999999999999:role/p"}
    config = a_configuration(tmp_path, {"aws": AWS | {"region": "cn-north-1", "assume_role": role}}, "aws")
    text, said = printed(config, "aws")
    assert "arn:aws-cn:secretsmanager:cn-north-1:999999999999:secret:influx/aws-??????" in text
    assert "sts:AssumeRole" in said


def test_one_of_several_stores_is_chosen(tmp_path: Path) -> None:
    """By its name; without one, the names are told."""
    config = a_configuration(tmp_path, {"one": VAULT, "two": VAULT, "aws": AWS}, "one", "two", "aws")
    assert "secret/data/influx/two" in printed(config, "vault", "--store", "two")[0]
    assert "secret/data/influx/one" not in printed(config, "vault", "--store", "two")[0]
    assert refused(config, "vault") == "name a store of that kind with --store; there are: one, two"
    assert refused(config, "vault", "--store", "aws").endswith("there are: one, two")
    assert "influx/aws" in printed(config, "aws")[0]


def test_what_there_is_no_policy_for_is_refused(tmp_path: Path) -> None:
    """No store of the kind, no reader, nothing stored there."""
    config = a_configuration(tmp_path, {"one": VAULT, "aws": AWS}, "one")
    assert refused(config, "vault", "--reader") == "stores.one has no reader: configure one, or leave --reader out"
    assert refused(config, "aws") == "no token has a destination in store aws: there is nothing to allow"
    assert refused(a_configuration(tmp_path, {"one": VAULT}, "one"), "aws").endswith("there are: none")
