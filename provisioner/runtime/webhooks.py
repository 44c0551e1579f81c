"""The Notifier port over HTTP: what a webhook is sent, how it is signed, which answers count. See docs/consumers.md.

The body is made of the notice alone, so the same rotation is the same body, whoever sends it and how often.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

from provisioner.domain.consumers import Notice, Webhook
from provisioner.domain.errors import NotificationFailedError, ProvisionerError
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import rfc3339
from provisioner.ports.clock import Clock

EVENT: Final = "rotated"
KEY_HEADER: Final = "Idempotency-Key"
TIMESTAMP_HEADER: Final = "X-Provisioner-Timestamp"
SIGNATURE_HEADER: Final = "X-Provisioner-Signature"


class Post(Protocol):
    """What sends it."""

    def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], ca_cert: Path | None = None
    ) -> tuple[int | None, str]:
        """Give the status of the answer, or None and why there was none."""

    def close(self) -> None:
        """Let go of connections."""


class Webhooks:
    """The Notifier port."""

    def __init__(self, *, post: Post, clock: Clock) -> None:
        """Take what sends."""
        self._post, self._clock = post, clock

    def deliver(self, webhook: Webhook, notice: Notice) -> None:
        """See the port; every answer but 2xx is a no, a redirect is not followed."""
        try:
            key = webhook.key()
        except ProvisionerError as error:
            why = str(error)
            key = None
        if key is None:
            raise NotificationFailedError(f"{webhook} cannot be told: {why}")
        body = body_of(notice)
        status, why = self._post(webhook.url, body, self._headers(notice, body, key), webhook.ca_cert)
        if status is None:
            raise NotificationFailedError(f"{webhook} was not told: {why}")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise NotificationFailedError(f"{webhook} sends us elsewhere ({status}): configure the final address")
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise NotificationFailedError(f"{webhook} answered {status}: it is told again until it answers 2xx")

    def close(self) -> None:
        """Let go of connections."""
        self._post.close()

    def _headers(self, notice: Notice, body: bytes, key: SecretText) -> dict[str, str]:
        timestamp = str(int(self._clock.now().timestamp()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "token-provisioner",
            KEY_HEADER: notice.rotation_id,
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: signature_of(key, timestamp, body),
        }


def body_of(notice: Notice) -> bytes:
    """Write a notice as JSON."""
    content = {
        "event": EVENT,
        "instance": notice.instance,
        "name": notice.name,
        "rotation_id": notice.rotation_id,
        "token_id": notice.token_id,
        "issuer": notice.issuer,
        "issued_at": rfc3339(notice.issued_at),
        "expires_at": rfc3339(notice.expires_at),
        "stored_at": rfc3339(notice.stored_at),
        "compromised": notice.compromised,
        "destinations": [{"store": store, "path": path} for store, path in notice.destinations],
    }
    return json.dumps(content, separators=(",", ":")).encode()


def signature_of(key: SecretText, timestamp: str, body: bytes) -> str:
    """Give the HMAC-SHA256 over the time of sending, a dot, and the body."""
    return "sha256=" + hmac.new(key.reveal().encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
