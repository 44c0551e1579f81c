"""Webhooks over real HTTP: what they are sent, how they check it, and what is no yes."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.catalog import CONSUMER_TIMEOUT
from provisioner.domain.consumers import Notice, Webhook
from provisioner.domain.errors import ConfigurationError, NotificationFailedError
from provisioner.domain.secret import SecretText
from provisioner.issuers.http_post import HttpPost
from provisioner.runtime.clock import SystemClock
from provisioner.runtime.webhooks import Webhooks, body_of
from tests.builders import DAY, NOW, uid
from tests.fakes.clock import FakeClock
from tests.fakes.webhook_receiver import Receiver, example_of

KEY = "a-key-of-32-characters-or-so-zq7"
NOTICE = Notice(
    instance="prod",
    name="telegraf",
    rotation_id=uid(7),
    token_id="id-7",
    issuer="cluster",
    issued_at=NOW,
    expires_at=NOW + 30 * DAY,
    stored_at=NOW,
    compromised=False,
    destinations=(("vault", "influx/telegraf"), ("aws", "prod/influx/telegraf")),
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a receiver on a free port."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def webhooks() -> Iterator[Webhooks]:
    """Give what tells it, in a hurry."""
    post = HttpPost(timeout=timedelta(seconds=0.7), clock=SystemClock())
    webhooks = Webhooks(post=post, clock=FakeClock())
    yield webhooks
    webhooks.close()


def hook(receiver: Receiver, path: str = "/secret-path-zq8") -> Webhook:
    """Give the receiver as a webhook."""
    return Webhook(url=f"{receiver.url}{path}", key=lambda: SecretText(KEY))


def test_what_is_sent(receiver: Receiver, webhooks: Webhooks) -> None:
    """One POST of JSON, with the rotation as its idempotency key, signed over the moment and the body."""
    webhooks.deliver(hook(receiver), NOTICE)
    (asked,) = receiver.asked
    assert (asked.method, asked.path) == ("POST", "/secret-path-zq8")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["idempotency-key"] == uid(7)
    assert json.loads(asked.body) == {
        "event": "rotated",
        "instance": "prod",
        "name": "telegraf",
        "rotation_id": uid(7),
        "token_id": "id-7",
        "issuer": "cluster",
        "issued_at": "2026-06-01T12:00:00Z",
        "expires_at": "2026-07-01T12:00:00Z",
        "stored_at": "2026-06-01T12:00:00Z",
        "compromised": False,
        "destinations": [
            {"store": "vault", "path": "influx/telegraf"},
            {"store": "aws", "path": "prod/influx/telegraf"},
        ],
    }
    signed = f"{int(NOW.timestamp())}.".encode() + asked.body
    expected = "sha256=" + hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert asked.headers["x-provisioner-signature"] == expected
    assert asked.headers["x-provisioner-timestamp"] == str(int(NOW.timestamp()))


def test_the_example_in_the_documentation_verifies_it(receiver: Receiver, webhooks: Webhooks) -> None:
    """And refuses another key, another body, another moment, an old one, and what has no signature."""
    webhooks.deliver(hook(receiver), NOTICE)
    (asked,) = receiver.asked
    is_genuine = example_of("docs/consumers.md", "is_genuine")
    moment, headers = NOW.timestamp(), dict(asked.headers)
    assert is_genuine(KEY.encode(), headers, asked.body, moment)
    assert is_genuine(KEY.encode(), headers, asked.body, moment + 200)
    assert not is_genuine(b"another key", headers, asked.body, moment)
    assert not is_genuine(KEY.encode(), headers, asked.body + b" ", moment)
    assert not is_genuine(KEY.encode(), headers | {"x-provisioner-timestamp": "1"}, asked.body, moment)
    assert not is_genuine(KEY.encode(), headers, asked.body, moment + 400)
    assert not is_genuine(KEY.encode(), {}, asked.body, moment)


def test_the_same_rotation_is_the_same_body(receiver: Receiver, webhooks: Webhooks) -> None:
    """A receiver that keeps the keys it has seen takes note of each rotation once."""
    for _ in range(2):
        webhooks.deliver(hook(receiver), NOTICE)
    first, second = receiver.asked
    assert first.body == second.body == body_of(NOTICE)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@pytest.mark.parametrize("status", [200, 202, 204])
def test_every_2xx_is_a_yes(receiver: Receiver, webhooks: Webhooks, status: int) -> None:
    """Whatever its body says."""
    receiver.answers = [status]
    webhooks.deliver(hook(receiver), NOTICE)


def test_an_answer_without_end_is_not_read(receiver: Receiver, webhooks: Webhooks) -> None:
    """Its status is enough: neither our memory nor our time is its to fill."""
    receiver.answers = ["endless"]
    clock = SystemClock()
    began = clock.monotonic()
    webhooks.deliver(hook(receiver), NOTICE)
    assert clock.monotonic() - began < 5
    assert receiver.sent < 64 * 2**20


def test_the_key_is_read_afresh_for_each_delivery(receiver: Receiver, webhooks: Webhooks) -> None:
    """One that was replaced signs from then on, without a restart."""
    keys = iter(["first-key-zq1", "second-key-zq2"])
    webhook = Webhook(url=receiver.url, key=lambda: SecretText(next(keys)))
    is_genuine = example_of("docs/consumers.md", "is_genuine")
    for _ in range(2):
        webhooks.deliver(webhook, NOTICE)
    first, second = receiver.asked
    moment = NOW.timestamp()
    assert is_genuine(b"first-key-zq1", first.headers, first.body, moment)
    assert not is_genuine(b"first-key-zq1", second.headers, second.body, moment)
    assert is_genuine(b"second-key-zq2", second.headers, second.body, moment)


@pytest.mark.parametrize("rotation_id", ["two\r\nX-Evil: lines", "ü", ""])
def test_a_rotation_id_that_somebody_edited_adds_no_header(
    receiver: Receiver, webhooks: Webhooks, rotation_id: str
) -> None:
    """It stands in the record, which a person may have touched."""
    with suppress(NotificationFailedError):
        webhooks.deliver(hook(receiver), replace(NOTICE, rotation_id=rotation_id))
    assert not any("x-evil" in asked.headers for asked in receiver.asked)


@pytest.mark.parametrize("status", [302, 307, 400, 401, 404, 409, 429, 500, 503])
def test_everything_else_is_a_no(receiver: Receiver, webhooks: Webhooks, status: int) -> None:
    """A redirect is not followed; the message names neither the path, which may be a password, nor the key."""
    receiver.answers = [status]
    with pytest.raises(NotificationFailedError, match=str(status)) as raised:
        webhooks.deliver(hook(receiver), NOTICE)
    assert len(receiver.asked) == 1
    assert "zq8" not in str(raised.value)
    assert KEY not in str(raised.value)
    assert raised.value.__context__ is None


@pytest.mark.parametrize("answer", ["hang", "break", "trickle"])
def test_a_receiver_that_does_not_answer_is_given_up_in_time(
    receiver: Receiver, webhooks: Webhooks, answer: str
) -> None:
    """One deadline is for the whole of it, also where an answer comes byte by byte."""
    receiver.answers = [answer]
    clock = SystemClock()
    began = clock.monotonic()
    with pytest.raises(NotificationFailedError) as raised:
        webhooks.deliver(hook(receiver), NOTICE)
    assert clock.monotonic() - began < 5
    assert "zq8" not in str(raised.value)
    assert raised.value.__context__ is None


def test_nobody_there_is_no_yes(webhooks: Webhooks) -> None:
    """It is tried again like everything else."""
    with Receiver() as receiver:
        gone = hook(receiver)
    with pytest.raises(NotificationFailedError, match="cannot be reached"):
        webhooks.deliver(gone, NOTICE)


def test_a_key_that_cannot_be_read_sends_nothing(receiver: Receiver, webhooks: Webhooks) -> None:
    """Nothing goes out unsigned."""

    def missing() -> SecretText:
        raise ConfigurationError("the secret file /x cannot be read")

    with pytest.raises(NotificationFailedError, match="secret file /x cannot be read"):
        webhooks.deliver(Webhook(url=receiver.url, key=missing), NOTICE)
    assert receiver.asked == []


def test_a_ca_that_is_not_there_is_said(receiver: Receiver, webhooks: Webhooks, tmp_path: Path) -> None:
    """With the remedy."""
    webhook = Webhook(url=receiver.url, key=lambda: SecretText(KEY), ca_cert=tmp_path / "none.pem")
    with pytest.raises(NotificationFailedError, match="cannot be used"):
        webhooks.deliver(webhook, NOTICE)


def test_the_deadline_is_shorter_than_a_rotation() -> None:
    """A name waits for its webhooks one after another."""
    assert timedelta(seconds=1) < CONSUMER_TIMEOUT <= timedelta(seconds=10)
