"""The webhooks that are told of a rotation."""

from typing import Protocol

from provisioner.domain.consumers import Notice, Webhook


class Notifier(Protocol):
    """Tells webhooks. Used by several threads at once."""

    def deliver(self, webhook: Webhook, notice: Notice) -> None:
        """Tell it, signed with its key, and come back when it said yes.

        The same notice is the same body with the same ``Idempotency-Key``, however often it is sent. Raises
        NotificationFailedError when nobody said yes in time; it may have been taken note of all the same.
        """

    def close(self) -> None:
        """Let go of connections."""
