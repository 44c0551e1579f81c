"""How far a server's clock is from ours: measured from the ``Date`` of its answers, and taken into account."""

from datetime import datetime, timedelta
from threading import Lock
from typing import Final

CLOCK_SKEW_FROM: Final = timedelta(seconds=30)
"""From here on a difference counts, and times are converted; ``Date`` tells it to half a second."""
_STEADY: Final = timedelta(seconds=5)
"""What measurements differ by among themselves: a skew that moves by less is the same."""
_HALF_A_SECOND: Final = timedelta(seconds=0.5)
_WHOLE: Final = timedelta(seconds=1)
_NONE: Final = timedelta(0)


class ServerClock:
    """Turns times of the server into ours and back. Safe to call from several threads.

    The skew that is applied is whole seconds and steady: the same token is to have the same times on list after list,
    so it changes only when a measurement departs from it by more than 5 s. Below 30 s it is none.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._skew = _NONE

    @property
    def skew(self) -> timedelta:
        """How far the server is ahead of us; none where it does not count."""
        return self._skew

    def measure(self, said: datetime, *, answered_at: datetime, took: timedelta) -> None:
        """Take note of a ``Date``, which is whole seconds, against the middle of the request by our clock.

        It may have been written at any moment of the request: half of what that took is in doubt, and does not count.
        """
        skew = said + _HALF_A_SECOND - (answered_at - took / 2)
        doubt = max(took / 2, _NONE)
        with self._lock:
            if abs(skew - self._skew) <= _STEADY + doubt:
                return
            counts = abs(skew) - doubt >= CLOCK_SKEW_FROM
            self._skew = round(skew / _WHOLE) * _WHOLE if counts else _NONE

    def ours(self, moment: datetime | None) -> datetime | None:
        """Give a time that the server tells by our clock."""
        return _moved(moment, -self._skew)

    def theirs(self, moment: datetime) -> datetime:
        """Give a time that we tell by the server's clock."""
        return _moved(moment, self._skew) or moment


def _moved(moment: datetime | None, by: timedelta) -> datetime | None:
    try:
        return moment + by if moment is not None else None
    except OverflowError:
        return moment  # at the end of the calendar nothing depends on it
