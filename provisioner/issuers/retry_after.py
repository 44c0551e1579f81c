"""``Retry-After``: a server that asks for a pause gets it, from every token that is issued there."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from provisioner.ports.clock import Clock

LONGEST_PAUSE: Final = timedelta(minutes=15)
_MOST_DIGITS: Final = 9


class Pause:
    """The pause that one server asked for, 15 minutes at most. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._over_at = float("-inf")

    def begin(self, wished: timedelta | None) -> None:
        """Take note of a pause that was asked for; it makes none shorter."""
        if wished is not None and wished > timedelta(0):
            over_at = self._clock.monotonic() + min(wished, LONGEST_PAUSE).total_seconds()
            self._over_at = max(self._over_at, over_at)

    def until(self) -> datetime | None:
        """Give when it ends; None when there is none."""
        left = self._over_at - self._clock.monotonic()
        return self._clock.now() + timedelta(seconds=left) if left > 0 else None


def wished_pause(header: str | None, *, now: datetime) -> timedelta | None:
    """Read a ``Retry-After``: seconds, or a moment, which counts from the server's ``now``; None when it is neither."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) <= _MOST_DIGITS else LONGEST_PAUSE
    moment = http_date(text)
    return moment - now if moment is not None else None


def http_date(header: str | None) -> datetime | None:
    """Read a moment as headers write it; None when there is none, or it cannot be read."""
    with suppress(ValueError, TypeError, OverflowError, IndexError):
        moment = parsedate_to_datetime(header or "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return None
