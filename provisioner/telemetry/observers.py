"""Several observers as one, of whom none can get in the way of the work, nor of the others."""

from provisioner.domain.events import Event
from provisioner.ports.observer import Observer


class Observers:
    """Tells each observer of each event. What one raises is counted and goes no further.

    A full disk behind the log must neither stop a rotation nor lose sight of a token that was just created.
    """

    def __init__(self, *observers: Observer) -> None:
        """Take who is told, in that order."""
        self._observers = observers
        self.lost = 0
        """How often an observer raised instead of taking note."""

    def add(self, observer: Observer) -> None:
        """Tell one more from now on."""
        self._observers = (*self._observers, observer)

    def __call__(self, event: Event) -> None:
        """Tell everybody."""
        for observe in self._observers:
            try:
                observe(event)
            except Exception:  # noqa: BLE001  # no effect may depend on its being told, whatever goes wrong there
                self.lost += 1
