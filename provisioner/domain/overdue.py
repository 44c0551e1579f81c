"""What should have been done by now, as the two truths tell it: seen by a process too that remembers no failure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from provisioner.domain.model import Foreign, Record, Stored
from provisioner.domain.retirement import Retirement, current_since
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.timing import rfc3339, whole_seconds
from provisioner.domain.trials import passed_over_by


def patience(snapshot: Snapshot) -> timedelta:
    """Give how long a step that needs no new token may take: until the next look, or as long as a rotation."""
    return max(snapshot.token.rotation_timeout, snapshot.token.drift_interval)


def rotation_is_overdue(snapshot: Snapshot, due: datetime | None, now: datetime) -> bool:
    """Tell whether a rotation that began when it was due would have ended; in any case well before the expiry."""
    if due is None or snapshot.life is None:
        return False
    return due + min(snapshot.token.rotation_timeout, max(snapshot.life[1] - due, timedelta(0)) / 2) < now


def revocation_is_overdue(snapshot: Snapshot, plan: Retirement, now: datetime) -> bool:
    """Tell whether a token lives on although it was to be revoked a good while ago."""
    wanted_at = plan.revoke_at or plan.overdue_at
    return wanted_at is not None and wanted_at + patience(snapshot) < now and plan.target.is_live(now)


def secret_is_gone(snapshot: Snapshot, now: datetime) -> str | None:
    """Say that consumers find nothing where a token of this name was before, or None.

    A name that was never provisioned has nothing stored either, and no token that lives.
    """
    primary = snapshot.primary
    if not isinstance(primary, Stored) or isinstance(primary.content, Record | Foreign):
        return None
    if primary.written_at is not None:
        since = rfc3339(whole_seconds(primary.written_at))
        return f"consumers find no token at {primary.destination} since {since}"
    if any(token.is_live(now) for token in snapshot.marked()):
        return f"consumers find no token at {primary.destination}, although tokens of this name live"
    return None


def late_destinations(snapshot: Snapshot, now: datetime) -> Iterator[str]:
    """Name the destinations that have not held the current token, or a whole record of it, for a good while."""
    record, since = snapshot.record, current_since(snapshot)
    if record is None or since is None:
        return
    for place in (snapshot.primary, *snapshot.copies):
        if not isinstance(place, Stored) or (place.record == record and not place.defects):
            continue
        if max(since, place.written_at or since) + patience(snapshot) < now:
            yield str(place.destination)


def passed_over(snapshot: Snapshot, now: datetime) -> str | None:
    """Say that issuers are called with another credential than the stored one, a good while after it was stored.

    They turn it away: what they are called with instead is what somebody has left there, and ends some day unseen.
    """
    issuers, since = passed_over_by(snapshot), current_since(snapshot)
    if not issuers or since is None or now <= since + patience(snapshot):
        return None
    return f"{', '.join(issuers)} did not take the stored token, and was called with another credential"
