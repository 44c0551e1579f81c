"""The Observer that tells of our own pod what operators look for with ``kubectl get events``."""

from collections.abc import Callable
from threading import Lock

from provisioner.domain.events import Event
from provisioner.ports.clock import Clock
from provisioner.telemetry.pod_notes import Note, Notes


class PodObserver:
    """Passes on what is worth a note; ``send`` has to be quick."""

    def __init__(self, send: Callable[[Note], None], clock: Clock) -> None:
        """Take who sends."""
        self._send, self._clock = send, clock
        self._notes, self._lock = Notes(), Lock()

    def __call__(self, event: Event) -> None:
        """See the port."""
        with self._lock:
            note = self._notes.of(event, self._clock.now())
        if note is not None:
            self._send(note)
