"""Where every name stood when it was last looked at: an Observer, so that whoever asks costs no request."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from provisioner.domain import events
from provisioner.domain.status import TokenStatus
from provisioner.ports.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A standing, and when it was seen."""

    status: TokenStatus
    at: datetime


class Standings:
    """Keeps the last standing of each name. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, Lock()
        self._seen: dict[str, Seen] = {}
        self.has_looked_at_all = False
        """Whether all names have been reconciled once."""

    def __call__(self, event: events.Event) -> None:
        """Take note."""
        if isinstance(event, events.NameStands):
            self.note([event.status])
        elif isinstance(event, events.PassFinished) and event.whole:
            self.has_looked_at_all = True

    def note(self, statuses: Collection[TokenStatus], since: datetime | None = None) -> None:
        """Keep standings that were seen just now; a look begun at ``since`` gives way to what was seen after that.

        It does not to what seems to have been seen later than now: the clock was ahead then.
        """
        now = self._clock.now()
        with self._lock:
            for status in statuses:
                known = self._seen.get(status.name)
                if known is None or since is None or not since < known.at <= now:
                    self._seen[status.name] = Seen(status=status, at=now)

    def of(self, name: str) -> Seen | None:
        """Give the last standing of a name; None when nobody has looked yet."""
        with self._lock:
            return self._seen.get(name)
