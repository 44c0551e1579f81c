"""What this process has last seen of each secret, so that it need not be asked for again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from provisioner.ports.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A secret at one revision."""

    revision: str
    rotation_id: str | None
    """The rotation whose token it holds, as far as that can be read."""
    written_at: datetime | None
    """Since when consumers read this revision."""
    seen_at: float = 0.0
    """When, by the monotonic clock."""
    told_at: float = 0.0
    """When AWS last told of ``written_at``, by the monotonic clock."""


TOLD_FOR: Final = timedelta(seconds=30)
"""How long a revision is taken to have been the current one all along: labels may move to another and back unseen.

Longer than a pass looks and acts; so short that no overlap is shortened by more.
"""


class Sightings:
    """Remembers the last sighting of each secret. Safe for several threads."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock, self._lock = clock, Lock()
        self._last: dict[str, Sighting] = {}

    def note(
        self,
        name: str,
        *,
        revision: str,
        rotation_id: str | None,
        written_at: datetime | None,
        told: Sighting | None = None,
    ) -> None:
        """Remember what was read or written just now; ``told`` is the sighting that ``written_at`` was taken from."""
        now = self._clock.monotonic()
        sighting = Sighting(
            revision=revision,
            rotation_id=rotation_id,
            written_at=written_at,
            seen_at=now,
            told_at=now if told is None else told.told_at,
        )
        with self._lock:
            self._last[name] = sighting

    def last(self, name: str) -> Sighting | None:
        """Give the last sighting of a secret."""
        with self._lock:
            return self._last.get(name)

    def at(self, name: str, revision: str) -> Sighting | None:
        """Give the last sighting, if it was at that revision."""
        sighting = self.last(name)
        return sighting if sighting is not None and sighting.revision == revision else None

    def told(self, name: str, revision: str) -> Sighting | None:
        """Give the last sighting, if it was at that revision and AWS told a moment ago since when it is there."""
        sighting = self.at(name, revision)
        is_recent = sighting is not None and self._clock.monotonic() < sighting.told_at + TOLD_FOR.total_seconds()
        return sighting if is_recent else None
