"""What is read from file and environment, and what is refused with which key and remedy."""

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.domain.errors import ConfigurationError
from provisioner.settings.issuers import InfluxctlIssuerSettings
from provisioner.settings.load import Settings, json_schema, load_settings

ROOT = Path(__file__).parents[3]
GOOD: Mapping[str, Any] = {
    "instance": "prod",
    "issuers": {"cluster-a": {"type": "influxctl"}},
    "stores": {
        "vault": {"type": "vault", "address": "https://vault:8200", "auth": {"method": "token", "token": {"env": "T"}}}
    },
    "tokens": [{"name": "telegraf", "issuer": "cluster-a", "destinations": [{"store": "vault", "path": "influx/t"}]}],
}
GONE = object()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of this machine in."""
    monkeypatch.delenv("PROVISIONER_CONFIG", raising=False)


def changed(path: str, value: object) -> dict[str, Any]:
    """Give the good configuration with one place changed; numbers are indexes into lists."""
    content: Any = deepcopy(dict(GOOD))
    place = content
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split("/")]
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is GONE:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return content  # type: ignore[no-any-return]  # plain data


def load(content: object, tmp_path: Path) -> Settings:
    """Load a configuration that holds just that."""
    file = tmp_path / "provisioner.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    settings, path = load_settings(file)
    assert path == file
    return settings


def test_minimal_configuration_has_the_documented_defaults(tmp_path: Path) -> None:
    """What the file leaves out is as the interface says."""
    (token,) = load(GOOD, tmp_path).managed_tokens()
    assert (token.ttl, token.rotate_at, token.overlap) == (timedelta(days=30), 0.66, timedelta(hours=1))
    assert (token.verify_timeout, token.rotation_timeout) == (timedelta(minutes=5), timedelta(minutes=10))
    assert (token.orphan_quiet_period, token.drift_interval) == (timedelta(hours=1), timedelta(minutes=15))
    assert str(token.owner) == "provisioner/prod/telegraf"
    assert [str(place) for place in token.destinations] == ["vault:influx/t"]


@pytest.mark.parametrize("tokens", [[], GONE])
def test_no_token_is_a_configuration_too(tokens: object, tmp_path: Path) -> None:
    """Who begins with issuers and stores adds tokens later."""
    assert load(changed("tokens", tokens), tmp_path).managed_tokens() == ()


@pytest.mark.parametrize("name", ["minimal.yaml", "provisioner.yaml"])
def test_examples_load(name: str) -> None:
    """The examples that are shipped are good."""
    settings, _ = load_settings(ROOT / "config" / name)
    assert settings.managed_tokens()


def test_schema_file_is_fresh() -> None:
    """``config/provisioner.schema.json`` is what ``provisioner schema`` prints."""
    written = json.loads((ROOT / "config/provisioner.schema.json").read_text())
    assert written == json.loads(json.dumps(json_schema())), "provisioner schema > config/provisioner.schema.json"


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    [
        ("instance", GONE, "instance", "is missing"),
        ("instance", "Prod EU", "instance", "lower-case"),
        ("isuers", {}, "isuers", "did you mean issuers"),
        ("tokens/0/ttll", "1d", "tokens[telegraf].ttll", "did you mean ttl"),
        ("issuers/cluster-a/timeout", 60, "issuers.cluster-a.timeout", "with its unit"),
        ("issuers/cluster-a/timeout", "soon", "issuers.cluster-a.timeout", "with its unit"),
        ("issuers/cluster-a/timeout", "0s", "issuers.cluster-a.timeout", "longer than nothing"),
        ("issuers/cluster-a/timeout", "9999999d", "issuers.cluster-a.timeout", "at most ten years"),
        ("issuers/cluster-a/command", [], "issuers.cluster-a.command", "at least 1"),
        ("issuers/cluster-a/type", "influxdb3", "issuers.cluster-a.url", "is missing"),
        ("issuers/cluster-a/type", "other", "issuers.cluster-a", "type must be one of 'influxctl', 'influxdb3'"),
        ("stores/vault/type", "etcd", "stores.vault", "type must be one of 'vault', 'aws-secrets-manager'"),
        ("stores/vault/type", GONE, "stores.vault", "type must be one of 'vault', 'aws-secrets-manager'"),
        ("stores/vault/address", "vault:8200", "stores.vault.address", "must be a URL"),
        ("stores/vault/address", "https://u:p@vault", "stores.vault.address", "user name or password"),
        ("stores/vault/address", "https://vault/v1?x=1", "stores.vault.address", "'?' or '#'"),
        ("stores/vault/address", "https://vault#v1", "stores.vault.address", "'?' or '#'"),
        ("stores/vault/auth/method", "ldap", "stores.vault.auth", "method must be one of"),
        ("stores/vault/auth/token", "hvs.literal", "stores.vault.auth.token", "never written in the file"),
        ("stores/vault/auth/token", {"file": "/a", "env": "B"}, "stores.vault.auth.token", "exactly one"),
        ("tokens", None, "tokens", "is empty: write [] while there is no token yet"),
        ("tokens/0/name", "Telegraf Admin", "tokens[Telegraf Admin].name", "lower-case"),
        ("tokens/0/issuer", "cluster-b", "tokens[telegraf].issuer", "there are: cluster-a"),
        ("tokens/0/destinations/0/store", "aws", "tokens[telegraf].destinations[0].store", "there are: vault"),
        ("tokens/0/destinations/0/path", "../x", "tokens[telegraf].destinations[0].path", "must be a path"),
        ("tokens/0/destinations", [], "tokens[telegraf].destinations", "at least 1"),
        ("tokens/0/description", "a [provisioner/x/y z]", "tokens[telegraf].description", "must not contain"),
        ("tokens/0/description", "two\nlines", "tokens[telegraf].description", "one line"),
        ("tokens/0/rotate_at", 1.5, "tokens[telegraf].rotate_at", "less than 1"),
        ("tokens/0/ttl", "1h", "tokens[telegraf].ttl", "cannot hold margin + overlap + rotation_timeout"),
        ("tokens/0/rotate_before", "30m", "tokens[telegraf].rotate_before", "would expire before its overlap ends"),
        ("tokens/0/orphan_quiet_period", "5m", "tokens[telegraf].orphan_quiet_period", "must be longer than"),
        (
            "tokens/0/window",
            {"cron": "61 * * * *", "duration": "1h"},
            "tokens[telegraf].window.cron",
            "cron expression",
        ),
        (
            "tokens/0/window",
            {"cron": "0 2 * * *", "duration": "1h", "timezone": "Mars/Base"},
            "tokens[telegraf].window.timezone",
            "not a time zone",
        ),
        (
            "tokens/0/window",
            {"cron": "0 2 29 2 *", "duration": "1h"},
            "tokens[telegraf].window",
            "does not always open",
        ),
        ("tokens/0/extra", {"token": "x"}, "tokens[telegraf].destinations[0]", "would hide one of ours"),
        (
            "tokens/0/destinations/0/fields",
            {"tokn": "X"},
            "tokens[telegraf].destinations[0].fields.tokn",
            "not a field of ours",
        ),
        (
            "tokens/0/destinations/0/fields",
            {"token": "X", "token_id": "X"},
            "tokens[telegraf].destinations[0].fields",
            "two fields",
        ),
        (
            "tokens/0/destinations/0/fields",
            {"token": "issuer", "issuer": "source"},
            "tokens[telegraf].destinations[0].fields.token",
            "name of another field",
        ),
        (
            "tokens/1",
            {"name": "other", "issuer": "cluster-a", "destinations": [{"store": "vault", "path": "/influx/t/"}]},
            "tokens[other].destinations[0]",
            "two tokens cannot share one",
        ),
        (
            "tokens/1",
            {"name": "telegraf", "issuer": "cluster-a", "destinations": [{"store": "vault", "path": "b"}]},
            "tokens[telegraf].name",
            "2 tokens have this name",
        ),
        ("defaults", {"rotate_at": 0.5, "rotate_before": "1d"}, "defaults.rotate_at", "keep one"),
        ("reconcile", {"concurrency": 0}, "reconcile.concurrency", "greater than or equal to 1"),
        ("log", {"level": "loud"}, "log.level", "must be 'debug'"),
    ],
)
def test_refusals(path: str, value: object, key: str, words: str, tmp_path: Path) -> None:
    """Each refusal names the key and says what was expected or what to do."""
    with pytest.raises(ConfigurationError) as caught:
        load(changed(path, value), tmp_path)
    lines = [line for line in str(caught.value).splitlines()[1:] if line.startswith(f"{key}:")]
    assert lines, str(caught.value)
    assert any(words in line for line in lines), lines


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    """Three mistakes, three lines."""
    content = changed("tokens/0/ttl", "soon") | {"instance": "X", "wrong": 1}
    with pytest.raises(ConfigurationError) as caught:
        load(content, tmp_path)
    assert len(str(caught.value).splitlines()) == 4


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    """A literal secret is refused without standing in the error or its causes."""
    for place in ("stores/vault/auth/token", "stores/vault/tokn", "instance"):
        with pytest.raises(ConfigurationError) as caught:
            load(changed(place, "hvs.SuperSecret"), tmp_path)
        assert "SuperSecret" not in f"{caught.value!r}{caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "not a mapping"),
        ("a: [1\n", "not valid YAML at line 2"),
        ("instance: a\ninstance: b\n", "'instance' is written twice"),
        ("a: !!python/object:os.system {}\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_configuration(text: str, words: str, tmp_path: Path) -> None:
    """Each says what is wrong, and where."""
    with pytest.raises(ConfigurationError, match=words):
        load(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("on: true", "line 1, column 1: key 'on' is not read as text: quote it"),
        ("1: x", "key '1' is not read as text"),
        ("~: x", "key '~' is not read as text"),
        ("{? : x}", "key that is empty is not read as text"),
        ("log: {2020-01-01: x}", "key '2020-01-01' is not read as text"),
        ("instance: !!bool maybe", "is not valid YAML"),
        ("instance: !!int ''", "is not valid YAML"),
        ("instance: !!timestamp abc", "is not valid YAML"),
        ("!!float x: 1", "is not valid YAML"),
        ("a: " + "[" * 3000 + "]" * 3000, "is not valid YAML"),
        ("_env_file: true", "_env_file: unknown key"),
        ("__pydantic_self__: true", "__pydantic_self__: unknown key"),
    ],
)
def test_what_yaml_reads_oddly_is_refused(text: str, words: str, tmp_path: Path) -> None:
    """Whatever PyYAML makes of it, or raises for it, is refused like any other mistake: the daemon lives on."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("PROVISIONER__LOG", "{on: true}", "PROVISIONER__LOG: key 'on' is not read as text"),
        ("PROVISIONER__TOKENS", "[!!bool x]", "tokens: must be"),
        ("PROVISIONER__TOKENS", "[" * 3000, "tokens: must be"),
        ("PROVISIONER__TOKENS__" + "9" * 5000, "x", "names no place"),
    ],
)
def test_what_yaml_reads_oddly_is_refused_in_the_environment(
    variable: str, text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable's value is read with the same care as the file."""
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError) as caught:
        load(GOOD, tmp_path)
    assert words in str(caught.value)


def test_missing_file_says_where_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file names itself and the ways to name another."""
    with pytest.raises(ConfigurationError, match=r"nowhere.yaml does not exist: name it with --config"):
        load_settings(tmp_path / "nowhere.yaml")
    monkeypatch.setenv("PROVISIONER_CONFIG", str(tmp_path / "by-variable.yaml"))
    with pytest.raises(ConfigurationError, match=r"by-variable.yaml does not exist"):
        load_settings(None)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PROVISIONER__DEFAULTS__OVERLAP", "2h"),
        ("PROVISIONER__TOKENS__TELEGRAF__OVERLAP", "2h"),
        ("PROVISIONER__TOKENS__0__OVERLAP", "2h"),
        ("PROVISIONER__DEFAULTS", "{overlap: 2h}"),
    ],
)
def test_environment_lies_on_top(variable: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable overrides the file, by section, by a token's name, or as a whole."""
    monkeypatch.setenv(variable, text)
    (token,) = load(GOOD, tmp_path).managed_tokens()
    assert token.overlap == timedelta(hours=2)


def test_environment_finds_names_with_hyphens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An underscore in a variable stands for a hyphen in a name, too."""
    monkeypatch.setenv("PROVISIONER__ISSUERS__CLUSTER_A__TIMEOUT", "5s")
    issuer = load(GOOD, tmp_path).issuers["cluster-a"]
    assert isinstance(issuer, InfluxctlIssuerSettings)
    assert issuer.timeout == timedelta(seconds=5)


def test_environment_that_fits_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is refused like a misspelt key."""
    monkeypatch.setenv("PROVISIONER__RECONSILE__INTERVAL", "5s")
    with pytest.raises(ConfigurationError, match="did you mean reconcile"):
        load(GOOD, tmp_path)
    monkeypatch.setenv("PROVISIONER__TOKENS__NOBODY__TTL", "5d")
    with pytest.raises(ConfigurationError, match="PROVISIONER__TOKENS__NOBODY__TTL names no place"):
        load(GOOD, tmp_path)


def test_a_tokens_own_rotation_point_beats_the_default_of_either_kind(tmp_path: Path) -> None:
    """rotate_before of a token overrides rotate_at of the defaults, and the other way round."""
    content = changed("defaults", {"rotate_before": "5d"})
    content["tokens"][0]["rotate_at"] = 0.5
    (token,) = load(content, tmp_path).managed_tokens()
    assert (token.rotate_at, token.rotate_before) == (0.5, None)
