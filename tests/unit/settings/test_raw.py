"""The format of a destination: what it makes of the configuration, and what raw has no place for."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.model import Destination, Format
from provisioner.settings.load import load_settings

VAULT: dict[str, Any] = {"store": "vault", "path": "t", "format": "raw"}
AWS: dict[str, Any] = {"store": "aws", "path": "t", "format": "raw"}


def load(folder: Path, *places: dict[str, Any], tags: int = 0, **token: Any) -> tuple[Destination, ...]:
    """Load a configuration with one token at those places; give them."""
    content = {
        "instance": "prod",
        "issuers": {"cluster": {"type": "influxctl"}},
        "stores": {
            "vault": {
                "type": "vault",
                "address": "https://vault:8200",
                "auth": {"method": "token", "token": {"env": "T"}},
            },
            "aws": {"type": "aws-secrets-manager", "tags": {f"tag-{number}": "x" for number in range(tags)}},
        },
        "tokens": [{"name": "telegraf", "issuer": "cluster", "destinations": list(places)} | token],
    }
    file = folder / "provisioner.yaml"
    file.write_text(yaml.safe_dump(content))
    (managed,) = load_settings(file)[0].managed_tokens()
    return managed.destinations


def test_formats(tmp_path: Path) -> None:
    """JSON is the default; static fields stand there alone, and the token's key may have a name in Vault."""
    json, raw, aws = load(
        tmp_path,
        {"store": "vault", "path": "j"},
        VAULT | {"fields": {"token": "INFLUX_TOKEN"}},
        AWS,
        tags=20,
        extra={"url": "x"},
    )
    assert (json.format, raw.format, aws.format) == (Format.JSON, Format.RAW, Format.RAW)
    assert (json.extra, raw.extra, aws.extra) == ({"url": "x"}, {}, {})
    assert raw.fields == {"token": "INFLUX_TOKEN"}


@pytest.mark.parametrize(
    ("place", "token", "tags", "said"),
    [
        (VAULT, {"extra": {"url": "x"}}, 0, r"tokens\[telegraf\].extra: .* leave it out"),
        (VAULT | {"fields": {"owner": "by"}}, {}, 0, r"destinations\[0\].fields.owner: .* only token has a name"),
        (AWS | {"fields": {"token": "T"}}, {}, 0, r"destinations\[0\].fields.token: .* the value is the token itself"),
        (AWS, {}, 21, r"destinations\[0\].format: .* at most 20"),
        (VAULT | {"format": "text"}, {}, 0, r"destinations\[0\].format: "),
    ],
)
def test_refused(tmp_path: Path, place: dict[str, Any], token: dict[str, Any], tags: int, said: str) -> None:
    """What has no place beside or instead of a bare token is refused at load, with key and remedy."""
    with pytest.raises(ConfigurationError, match=said):
        load(tmp_path, place, tags=tags, **token)
