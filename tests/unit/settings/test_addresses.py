"""Addresses in the configuration: what leads to no host is refused by its key, and unknown keys get near guesses."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.domain.errors import ConfigurationError
from provisioner.settings.load import Settings, load_settings

RIGHT = (
    "https://h",
    "http://127.0.0.1:8181/api/v0",
    "http://[::1]:8181",
    "http://münchen.example",
    "http://ex_am.svc.cluster.local:1",
    "https://h.:443",
    "http://h/é",
)
ZONED = "http://[fe80::1%25eth0]:1"
WRONG = (
    *("http://[::1", "http://[x]", "http://h:0", "http://h:99999", "http://h:x", "http://h:80:80", "http://h /x"),
    *("http://h\\x", "http://h/\n", "http://a..b", f"http://{'a' * 70}", f"http://{'a.' * 130}a", "http://h\u2028"),
    *("http://h%2fx", "http://;x"),
)
AUTH = {"file": "/run/secret"}
GOOD: dict[str, Any] = {
    "instance": "x",
    "issuers": {
        "a": {"type": "influxdb-management-api", "url": "https://a", "auth": AUTH, "query_url": "https://a"},
        "b": {"type": "influxctl", "management_api": "https://b"},
        "c": {"type": "influxdb3", "url": "https://c", "auth": AUTH},
    },
    "stores": {
        "v": {"type": "vault", "address": "https://v", "auth": {"method": "token", "token": AUTH}},
        "s": {"type": "aws-secrets-manager", "endpoint_url": "https://s"},
    },
    "tokens": [{"name": "t", "issuer": "c", "destinations": [{"store": "v", "path": "p/t"}]}],
}
KEYS = (
    *("issuers.a.url", "issuers.a.query_url", "issuers.b.management_api", "issuers.c.url"),
    *("stores.v.address", "stores.s.endpoint_url"),
)


def load(folder: Path, **changes: Any) -> Settings:
    """Load the good configuration with some keys changed, each named as in a message."""
    content = json.loads(json.dumps(GOOD))  # nothing in it is shared
    for key, value in changes.items():
        place: Any = content
        *above, last = key.split(".")
        for part in above:
            place = place[int(part) if isinstance(place, list) else part]
        place[last] = value
    file = folder / "provisioner.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load_settings(file)[0]


def refusal(folder: Path, **changes: Any) -> list[str]:
    """Load it in vain; give the problems."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **changes)
    return str(caught.value).splitlines()[1:]


@pytest.mark.parametrize("address", RIGHT)
def test_addresses_that_are_right(address: str, tmp_path: Path) -> None:
    """Names, numbers and paths, in any script."""
    assert load(tmp_path, **dict.fromkeys(KEYS, address))


@pytest.mark.parametrize("address", WRONG)
def test_addresses_that_lead_to_no_host(address: str, tmp_path: Path) -> None:
    """Each is named by its full key, and is not repeated."""
    lines = refusal(tmp_path, **dict.fromkeys(KEYS, address))
    assert sorted(lines) == sorted(f"{key}: must lead to a host, and look like https://HOST:PORT" for key in KEYS)


def test_zones_are_for_stores_alone(tmp_path: Path) -> None:
    """The client that asks issuers knows none."""
    assert load(tmp_path, **{"stores.v.address": ZONED})
    (line,) = refusal(tmp_path, **{"issuers.a.query_url": ZONED})
    assert line.startswith("issuers.a.query_url: must not hold a zone")


@pytest.mark.parametrize(
    ("key", "guess"),
    [
        ("issuers.c.query_urll", None),
        ("issuers.a.query_urll", "query_url"),
        ("issuers.a.typo", None),
        ("issuers.b.urll", None),
        ("issuers.a.auth.fille", "file"),
        ("stores.v.auth.tokenn", "token"),
        ("stores.v.auth.rolle_id", None),
        ("stores.v.auth.token.fille", "file"),
        ("tokens.0.destinations.0.pathh", "path"),
        ("tokens.0.destinations.0.ttll", None),
        ("log.levell", "level"),
        ("instanc", "instance"),
    ],
)
def test_guesses_are_keys_of_the_kind_that_stands_there(key: str, guess: str | None, tmp_path: Path) -> None:
    """And only those that are near: what another section has would be refused next."""
    content: dict[str, Any] = {key: "x"}
    if key.startswith("log."):
        content = {"log": {"levell": "x"}}
    (line,) = refusal(tmp_path, **content)
    assert line.endswith(": unknown key: remove it, or see `provisioner schema` for the keys there are") is (
        guess is None
    ), line
    assert guess is None or line.endswith(f"unknown key, did you mean {guess}?"), line
