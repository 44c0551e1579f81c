"""When things are due: rotation, retirement, the next try. Pure arithmetic over aware UTC datetimes."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from provisioner.domain.model import ManagedToken

BACKOFF_FIRST: Final = timedelta(seconds=5)
BACKOFF_LONGEST: Final = timedelta(minutes=15)
BACKOFF_SHORTEST: Final = timedelta(seconds=1)
_BACKOFF_DOUBLINGS: Final = 16
LARGEST_OFFSET: Final = 0.10
"""Of the margin: how much earlier a name may be rotated than configured."""


def rotation_due(
    token: ManagedToken, issued_at: datetime, expires_at: datetime, now: datetime | None = None
) -> datetime:
    """Give the moment at which a token of that life is to be rotated.

    At ``rotate_before`` its end, or at the fraction ``rotate_at`` of its actual life; earlier by 0-10 %
    of the margin that remains, by a hash of the name, so that equal lives do not stampede. A window
    may delay it, but never so far that rotation and overlap would not fit before the end; one that was missed,
    as seen from ``now``, is not made up for before the next.
    """
    margin = rotation_margin(token, expires_at - issued_at)
    due = max(issued_at, expires_at - margin * (1 + LARGEST_OFFSET * stable_fraction(str(token.owner))))
    if token.window is None:
        return due
    latest = max(due, expires_at - token.longest_overlap - token.rotation_timeout)
    opening = token.window.next_opening(max(due, now or due))
    return latest if opening is None else min(opening, latest)


def rotation_margin(token: ManagedToken, life: timedelta) -> timedelta:
    """Give how long before its end a token of that ``life`` is rotated, the per-name offset left out."""
    if token.rotate_before is not None:
        return min(token.rotate_before, life)
    return life * (1 - (token.rotate_at or 0))


def stable_fraction(name: str) -> float:
    """Give a number in [0, 1) that depends on the name alone, the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


def backoff(failures: int, remaining: timedelta | None, jitter: float) -> timedelta:
    """Give how long to wait after that many failures in a row.

    Doubles from 5 s; at most 15 min and at most 1/20 of the ``remaining`` life of the stored token
    (None: there is none, or nothing hangs on it); at least 1 s. ``jitter`` in [0, 1) takes off up to a half.
    """
    longest = BACKOFF_LONGEST if remaining is None else min(BACKOFF_LONGEST, remaining / 20)
    doublings = min(max(failures, 1) - 1, _BACKOFF_DOUBLINGS)
    wait = BACKOFF_FIRST * (1 << doublings)
    return max(min(wait, longest) * (1 - jitter / 2), BACKOFF_SHORTEST)


def rfc3339(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with ``Z``, microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def whole_seconds(moment: datetime) -> datetime:
    """Drop what is below a second: issuers take and give expiries in whole ones."""
    return moment.replace(microsecond=0)
