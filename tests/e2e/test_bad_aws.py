"""Bad input for AWS: a clear error, the right exit status, no traceback, nothing created, nothing lost."""

import os
from pathlib import Path
from typing import Any

import pytest

from provisioner.simulators.openbao import free_port
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from tests.aws import ACCESS_KEY, REGION, SECRET_KEY
from tests.site import Ran, Site, a_site_on

NOBODY: dict[str, Any] = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
SOMEBODY = NOBODY | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@pytest.fixture
def site(tmp_path: Path, aws: SecretsManagerServer) -> Site:
    """Give a site whose only store is the strict simulator."""
    store = {"type": "aws-secrets-manager", "region": REGION, "endpoint_url": aws.address, "writes_per_second": 50}
    return a_site_on(tmp_path, store | {"timeout": "2s"})


def refused(ran: Ran, status: int, *words: str) -> None:
    """Check that a command failed as it should."""
    told = f"{ran.output}\n{ran.errors}"
    assert ran.status == status, told
    assert "Traceback" not in told
    for word in words:
        assert word in told.replace("\n", " "), told


@pytest.mark.parametrize(
    ("store", "token", "words"),
    [
        ({"regoin": "eu-west-1"}, {}, ["stores.aws.regoin", "unknown key"]),
        ({}, {"path": "what a name!"}, ["tokens[telegraf].destinations[0].path", "AWS takes letters"]),
        ({}, {"extra": {"blob": "x" * 70_000}}, ["tokens[telegraf].destinations[0]", "65,536", "shorten"]),
        ({}, {"fields": {"tokn": "TOKEN"}}, ["fields.tokn", "is not a field of ours"]),
        ({"endpoint_url": None}, {"ttl": "20m", "overlap": "1m"}, ["tokens[telegraf].ttl", "AWS allows"]),
        ({}, {"twice": True}, ["two tokens cannot share one"]),
    ],
    ids=["unknown key", "name", "70,000 bytes", "fields", "cadence", "shared"],
)
def test_bad_configuration(site: Site, store: dict[str, Any], token: dict[str, Any], words: list[str]) -> None:
    """Exit 2 at load, naming the key and what to do."""
    (configured,) = site.content["tokens"]
    site.content["stores"]["aws"] |= store
    configured["destinations"][0] |= {key: token[key] for key in ("path", "fields") if key in token}
    configured |= {key: token[key] for key in ("extra", "ttl", "overlap") if key in token}
    if "ttl" in token:
        short = {"verify_timeout": "10s", "rotation_timeout": "20s", "orphan_quiet_period": "30s"}
        site.content["defaults"] |= short | {"rotate_at": 0.5}
    if "twice" in token:
        site.content["tokens"].append(configured | {"name": "other"})
    refused(site.run("once", **SOMEBODY), 2, *words)
    assert site.cluster.tokens() == ()


def test_no_region(site: Site) -> None:
    """Neither configured nor in the environment: exit 1, and the key to set."""
    del site.content["stores"]["aws"]["region"]
    refused(site.run("once", **SOMEBODY), 1, "region", "AWS_DEFAULT_REGION")
    assert site.cluster.tokens() == ()


@pytest.mark.parametrize("metadata", ["true", "false"])
def test_no_credentials(site: Site, metadata: str) -> None:
    """Nowhere, on a machine without a metadata service as well: exit 1 in good time, and where to read on."""
    ran = site.run("once", timeout=30, **(NOBODY | {"AWS_EC2_METADATA_DISABLED": metadata}))
    refused(ran, 1, "there are no AWS credentials", "docs/aws.md")
    assert site.cluster.tokens() == ()


def test_endpoint_that_nobody_listens_at(site: Site) -> None:
    """Exit 1, and the keys to check."""
    site.content["stores"]["aws"]["endpoint_url"] = f"http://127.0.0.1:{free_port()}"
    refused(site.run("once", **SOMEBODY), 1, "AWS cannot be reached", "endpoint_url")
    assert site.cluster.tokens() == ()


def test_expired_credentials(site: Site, aws: SecretsManagerServer) -> None:
    """Exit 1, and what may be wrong with them."""
    for operation in ("GetSecretValue", "DescribeSecret"):
        aws.knobs.always[operation] = Fault.EXPIRED
    refused(site.run("once", **SOMEBODY), 1, "credentials have ended or are not valid")
    assert site.cluster.tokens() == ()


def test_key_that_is_not_there(site: Site) -> None:
    """A KMS key that does not exist is found before anything is created."""
    site.content["stores"]["aws"]["kms_key_id"] = "alias/nowhere"
    refused(site.run("once", **SOMEBODY), 1, "alias/nowhere", "kms_key_id")
    assert site.cluster.tokens() == ()


@pytest.mark.parametrize("operation", ["GetSecretValue", "DescribeSecret"])
def test_denied_reading_creates_nothing(site: Site, aws: SecretsManagerServer, operation: str) -> None:
    """The action to allow is named, and no token made."""
    aws.knobs.always[operation] = Fault.DENIED
    refused(site.run("once", **SOMEBODY), 1, f"allow secretsmanager:{operation}", site.path("telegraf"))
    assert site.cluster.tokens() == ()


def test_denied_creation_leaves_nothing(site: Site, aws: SecretsManagerServer) -> None:
    """What AWS tells only at the write is named; the token that was made for it is revoked, and no other made."""
    aws.knobs.always["CreateSecret"] = Fault.DENIED
    refused(site.run("once", **SOMEBODY), 1, "allow secretsmanager:CreateSecret")
    assert site.live("telegraf") == []
    assert len(site.cluster.tokens()) == 1


@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
def test_denied_rotation_loses_nothing(site: Site, aws: SecretsManagerServer, operation: str) -> None:
    """The stored token stays the current one and works; the new one is revoked."""
    assert site.run("once", **SOMEBODY).status == 0
    (before,) = site.live("telegraf")
    aws.knobs.always[operation] = Fault.DENIED
    ran = site.run("rotate", "telegraf", "--direct", **SOMEBODY)
    refused(ran, 1, f"allow secretsmanager:{operation}")
    assert len(site.cluster.tokens()) == 2
    assert [token.token_id for token in site.live("telegraf")] == [before.token_id]
