"""Who is told what happened."""

from typing import Protocol

from provisioner.domain.events import Event


class Observer(Protocol):
    """Told of each event once, in order, on the thread that caused it. Must not raise, and must be quick."""

    def __call__(self, event: Event, /) -> None:
        """Take note of an event."""
