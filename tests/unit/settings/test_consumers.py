"""The settings of what follows a rotation: what they mean, and what is refused with its reason."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.consumers import Webhook, Workload, WorkloadKind
from provisioner.domain.errors import ConfigurationError
from provisioner.domain.model import ManagedToken
from tests.unit.settings.test_load import GOOD, load

RESTART = {"restart": {"kind": "Deployment", "namespace": "telegraf", "name": "telegraf"}}
KEY = {"env": "HMAC_KEY"}
WEBHOOK = {"webhook": {"url": "https://hooks.example.org/a", "hmac_key": KEY}}
WAITING = {"min": "5m", "until": "rolled-out", "max": "24h"}


def content(defaults: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Give the good configuration with changes of its one token."""
    return {**GOOD, "defaults": defaults or {}, "tokens": [{**GOOD["tokens"][0], **changes}]}


def the_token(tmp_path: Path, defaults: dict[str, Any] | None = None, **changes: Any) -> ManagedToken:
    """Load it."""
    (token,) = load(content(defaults, **changes), tmp_path).managed_tokens()
    return token


def test_nothing_follows_unless_it_is_asked_for(tmp_path: Path) -> None:
    """And the overlap is plain."""
    token = the_token(tmp_path)
    assert (token.on_rotate, token.until_rolled_out, token.longest_overlap) == ((), None, timedelta(hours=1))


def test_what_follows_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts and webhooks, of which the key is read at each use."""
    near = {"restart": {"kind": "StatefulSet", "name": "db"}}
    token = the_token(tmp_path, on_rotate=[near, WEBHOOK, RESTART])
    assert token.workloads == (
        Workload(kind=WorkloadKind.STATEFUL_SET, name="db"),
        Workload(kind=WorkloadKind.DEPLOYMENT, namespace="telegraf", name="telegraf"),
    )
    (webhook,) = token.webhooks
    assert token.on_rotate[1] is webhook
    assert isinstance(webhook, Webhook)
    monkeypatch.setenv("HMAC_KEY", " first\n")
    assert webhook.key().reveal() == "first"
    monkeypatch.setenv("HMAC_KEY", "second")
    assert webhook.key().reveal() == "second"


def test_an_overlap_may_last_until_a_roll_out(tmp_path: Path) -> None:
    """Of the token, or of the defaults, where it says nothing to tokens without a restart."""
    token = the_token(tmp_path, overlap=WAITING, on_rotate=[RESTART])
    assert (token.overlap, token.until_rolled_out) == (timedelta(minutes=5), timedelta(hours=24))
    assert token.longest_overlap == timedelta(hours=24)
    token = the_token(tmp_path, {"overlap": WAITING}, on_rotate=[RESTART])
    assert token.until_rolled_out == timedelta(hours=24)
    token = the_token(tmp_path, {"overlap": WAITING}, on_rotate=[WEBHOOK])
    assert (token.overlap, token.until_rolled_out) == (timedelta(minutes=5), None)
    token = the_token(tmp_path, {"overlap": WAITING}, overlap="2h", on_rotate=[RESTART])
    assert (token.overlap, token.until_rolled_out) == (timedelta(hours=2), None)


def test_an_overlap_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text, like every duration."""
    monkeypatch.setenv("PROVISIONER__TOKENS__TELEGRAF__OVERLAP", "90m")
    assert the_token(tmp_path, overlap=WAITING, on_rotate=[RESTART]).overlap == timedelta(minutes=90)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "http://[::1]/x", "http://localhost/x", "https://h/x?y=z"])
def test_addresses_that_are_taken(tmp_path: Path, url: str) -> None:
    """Without https only on this very machine."""
    (webhook,) = the_token(tmp_path, on_rotate=[{"webhook": {"url": url, "hmac_key": KEY}}]).webhooks
    assert webhook.url == url


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"overlap": "soon"}, "tokens[telegraf].overlap: write a duration with its unit"),
        ({"overlap": 5}, "tokens[telegraf].overlap: write a duration with its unit"),
        ({"overlap": {"until": "rolled-out", "max": "1h"}}, "tokens[telegraf].overlap.min: is missing"),
        ({"overlap": {"min": "1h", "max": "2h"}}, "overlap: until and max belong together"),
        ({"overlap": {"min": "1h", "until": "rolled-out"}}, "overlap: until and max belong together"),
        ({"overlap": WAITING | {"max": "4m"}}, "overlap: max must not be shorter than min"),
        ({"overlap": WAITING | {"until": "noon"}}, "overlap.until: must be 'rolled-out'"),
        ({"overlap": WAITING | {"mx": "4m"}}, "overlap.mx: unknown key, did you mean max?"),
        ({"overlap": WAITING}, "overlap.until: there is no restart in on_rotate"),
        ({"overlap": WAITING, "on_rotate": [WEBHOOK]}, "overlap.until: there is no restart in on_rotate"),
        (
            {"overlap": WAITING | {"max": "29d"}, "on_rotate": [RESTART]},
            "ttl: cannot hold margin + overlap.max + rotation_timeout",
        ),
        (
            {"overlap": WAITING | {"max": "11d"}, "on_rotate": [RESTART]},
            "rotate_at: the old token would expire before its overlap ends",
        ),
        ({"on_rotate": [RESTART, RESTART]}, "restarts Deployment telegraf/telegraf 2 times"),
        ({"on_rotate": [WEBHOOK, WEBHOOK]}, "tells one webhook twice"),
        ({"on_rotate": [RESTART | WEBHOOK]}, "name either a restart or a webhook"),
        ({"on_rotate": [{}]}, "name either a restart or a webhook"),
        ({"on_rotate": [{"restart": {"kind": "Pod", "name": "x"}}]}, "kind: must be 'Deployment', 'StatefulSet' or"),
        ({"on_rotate": [{"restart": {"kind": "Deployment"}}]}, "restart.name: is missing"),
        (
            {"on_rotate": [{"restart": {"kind": "Deployment", "name": "A/b"}}]},
            "restart.name: must be lower-case letters",
        ),
        ({"on_rotate": [{"webhook": {"url": "https://h/x"}}]}, "webhook.hmac_key: is missing"),
        ({"on_rotate": [{"webhook": {"url": "https://h/x", "hmac_key": "zq7"}}]}, "secrets are never written in the"),
    ],
)
def test_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    """With the key and the remedy, and without repeating a value."""
    with pytest.raises(ConfigurationError, match="refused") as raised:
        load(content(**changes), tmp_path)
    assert says in str(raised.value)
    assert "zq7" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hooks.example.org/x", "must begin with https://"),
        ("http://127.0.0.1.example.org/x", "must begin with https://"),
        ("https://user:zq7@h/x", "must not hold a user name or password"),
        ("ftp://h/x", "must be a URL such as"),
        ("hooks.example.org/x", "must be a URL such as"),
        ("https:///x", "must be a URL such as"),
        ("https://h:port/x", "must be a URL such as"),
        ("https://[/x", "must be a URL such as"),
        ("https://h/x y", "must be a URL such as"),
    ],
)
def test_addresses_that_are_refused(tmp_path: Path, url: str, says: str) -> None:
    """What is sent must not be read by the way, and no password stands in the file."""
    with pytest.raises(ConfigurationError, match="refused") as raised:
        load(content(on_rotate=[{"webhook": {"url": url, "hmac_key": KEY}}]), tmp_path)
    assert says in str(raised.value)
    assert "zq7" not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "Bad Name"}, "restart.name: must be lower-case letters, digits, hyphens and dots, at most 253"),
        ({"namespace": "Nope!"}, "restart.namespace: must be lower-case letters, digits and hyphens, at most 63"),
    ],
)
def test_names_of_kubernetes_are_said_in_words(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    """Not as a pattern."""
    with pytest.raises(ConfigurationError) as refused:
        load(content(on_rotate=[{"restart": {**RESTART["restart"], **changed}}]), tmp_path)
    assert said in str(refused.value)


def test_a_path_that_is_none_is_said_in_words(tmp_path: Path) -> None:
    """Without a word of the program's inside."""
    with pytest.raises(ConfigurationError) as refused:
        load({**GOOD, "server": {"admin_socket": 7}}, tmp_path)
    assert str(refused.value).endswith("server.admin_socket: must be a path, a text")
