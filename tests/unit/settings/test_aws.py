"""What AWS Secrets Manager does not take of a configuration is refused at load, with key and remedy."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.catalog import make_store
from provisioner.domain.errors import ConfigurationError
from provisioner.runtime.clock import SystemClock
from provisioner.settings.load import Settings, load_settings
from provisioner.stores.aws_secrets_manager import AwsSecretsManagerStore

STORE: dict[str, Any] = {"type": "aws-secrets-manager", "region": "eu-west-1"}
FAST = {
    "ttl": "40m",
    "rotate_at": 0.1,
    "overlap": "1m",
    "verify_timeout": "1m",
    "rotation_timeout": "1m",
    "orphan_quiet_period": "2m",
}


def load(
    folder: Path, store: dict[str, Any] | None = None, token: dict[str, Any] | None = None, path: str = "prod/telegraf"
) -> Settings:
    """Load a configuration with one token in AWS."""
    content = {
        "instance": "prod",
        "issuers": {"cluster": {"type": "influxctl"}},
        "stores": {"aws": STORE | (store or {})},
        "tokens": [
            {"name": "telegraf", "issuer": "cluster", "destinations": [{"store": "aws", "path": path}]} | (token or {})
        ],
    }
    file = folder / "provisioner.yaml"
    file.write_text(yaml.safe_dump(content))
    return load_settings(file)[0]


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    """Every key is taken, and the store is built without asking anybody anything."""
    settings = load(
        tmp_path,
        {
            "endpoint_url": "http://127.0.0.1:5000",
            "kms_key_id": "alias/ours",
            "profile": "ours",
            "assume_role": {"role_arn": "arn:aws:iam::123456789012:role/p", "external_id": "x"},
            "tags": {"team": "observability"},
            "replicate_to": ["us-east-1"],
            "writes_per_second": 2,
            "timeout": "10s",
        },
    )
    store = make_store("aws", settings.stores["aws"], SystemClock())
    assert store.name == "aws"
    store.close()


@pytest.mark.parametrize(
    ("store", "key", "words"),
    [
        ({"region": "Ireland"}, "stores.aws.region", "must"),
        ({"endpoint_url": "localhost"}, "stores.aws.endpoint_url", "must be a URL"),
        ({"tags": {"aws:x": "y"}}, "stores.aws.tags.aws:x", "not begin with 'aws:'"),
        ({"tags": {"token-provisioner-owner": "y"}}, "stores.aws.tags.token-provisioner-owner", "our own tag"),
        ({"assume_role": {"role_arn": "provisioner"}}, "stores.aws.assume_role.role_arn", "must"),
        ({"assume_role": {}}, "stores.aws.assume_role.role_arn", "is missing"),
        ({"writes_per_second": 0}, "stores.aws.writes_per_second", "greater than 0"),
        ({"writes_per_second": 51}, "stores.aws.writes_per_second", "less than or equal to 50"),
        ({"access_key": "AKIA"}, "stores.aws.access_key", "unknown key"),
    ],
)
def test_refusals_of_the_store(tmp_path: Path, store: dict[str, Any], key: str, words: str) -> None:
    """Each refusal names the key and says what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, store)
    lines = [line for line in str(caught.value).splitlines()[1:] if line.startswith(f"{key}:")]
    assert lines, str(caught.value)
    assert words in lines[0]


@pytest.mark.parametrize("path", ["prod/tele graf", "prod/telegraf:1", "x" * 513, "prod/t\u00e9l\u00e9graf"])
def test_names_that_aws_refuses(tmp_path: Path, path: str) -> None:
    """A name that AWS would refuse at the first write is refused at load."""
    with pytest.raises(ConfigurationError, match=r"destinations\[0\]\.path: AWS takes letters"):
        load(tmp_path, path=path)


def test_too_much_extra(tmp_path: Path) -> None:
    """What cannot fit beside the token is refused at load."""
    with pytest.raises(ConfigurationError, match=r"extra has 6.,... bytes"):
        load(tmp_path, token={"extra": {"note": "x" * 60_000}})


def test_lives_too_short_for_aws(tmp_path: Path) -> None:
    """Rotating all the time would use up the versions of a secret: only an emulator takes it."""
    with pytest.raises(ConfigurationError, match=r"tokens\[telegraf\]\.ttl: would be rotated every"):
        load(tmp_path, token=FAST)
    assert load(tmp_path, {"endpoint_url": "http://127.0.0.1:5000"}, FAST).managed_tokens()
    assert load(tmp_path, token=FAST | {"rotate_at": 0.5}).managed_tokens()


def test_reader_begins_with_the_store_s_own(tmp_path: Path) -> None:
    """What it leaves out, it has of the store: where AWS is, and whose credentials a role is taken on with."""
    role = {"role_arn": "arn:aws:iam::123456789012:role/consumer"}
    settings = load(tmp_path, {"profile": "ours", "reader": {"assume_role": role}})
    (token,) = settings.managed_tokens()
    assert token.primary.has_reader
    store = make_store("aws", settings.stores["aws"], SystemClock())
    assert isinstance(store, AwsSecretsManagerStore)
    assert store._reader is not None
    access = store._reader._clients._access
    assert (access.profile, access.region, access.role and access.role.arn) == ("ours", "eu-west-1", role["role_arn"])
    store.close()


def test_reader_must_be_somebody(tmp_path: Path) -> None:
    """An empty one would be ourselves."""
    with pytest.raises(ConfigurationError, match=r"stores\.aws\.reader: name a profile, a role to assume, or both"):
        load(tmp_path, {"reader": {}})


def test_destinations_of_a_store_without_a_reader_have_none(tmp_path: Path) -> None:
    """As it has always been."""
    (token,) = load(tmp_path).managed_tokens()
    assert not token.primary.has_reader
