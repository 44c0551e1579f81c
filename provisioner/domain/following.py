"""Where the workloads that a rotation restarts stand, as far as this process has seen: what waits, and for what."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from provisioner.domain.consumers import Progress, Restarts, Rollout, Sight, Standing, Webhook, Workload
from provisioner.domain.memory import Memory
from provisioner.domain.model import Record
from provisioner.domain.snapshot import Snapshot

NOBODY_KNOWS: Final = "?"
"""In place of the rotation that a webhook was told of: for who only looks, and has never told it."""
SOONEST_LOOK: Final = timedelta(seconds=15)
_PART: Final = 5
"""It is looked at again after a fifth of the time that it has taken so far: each look is a pass over the name."""
_PAUSE: Final = timedelta(minutes=15)
_LONGEST_PAUSE: Final = timedelta(days=1)
_DOUBLINGS: Final = 7


def sight_of(snapshot: Snapshot, workload: Workload) -> Sight | None:
    """Give how a workload stands with the stored token; None when that was not looked at."""
    record, sight = snapshot.record, snapshot.memory.sights.get(workload)
    return sight if record is not None and sight is not None and sight.rotation_id == record.rotation_id else None


def is_rolled_out(snapshot: Snapshot, workload: Workload) -> bool:
    """Tell whether all its pods were seen to be younger than the stored token."""
    sight = sight_of(snapshot, workload)
    return sight is not None and sight.standing is Standing.ROLLED_OUT


def not_rolled_out(snapshot: Snapshot) -> tuple[str, ...]:
    """Say which workloads may have pods left that read their token before the stored one was there, and why."""
    return tuple(_words(snapshot, workload) for workload in snapshot.token.workloads if _waits(snapshot, workload))


def _waits(snapshot: Snapshot, workload: Workload) -> bool:
    return not is_rolled_out(snapshot, workload)


def _words(snapshot: Snapshot, workload: Workload) -> str:
    sight = sight_of(snapshot, workload)
    if sight is None:
        return f"{workload} has not been looked at yet"
    return f"{workload} is {sight.standing.value} ({sight.message})"


def _is_told(snapshot: Snapshot, webhook: Webhook, record: Record) -> bool:
    return snapshot.memory.notified.get(webhook) in {record.rotation_id, NOBODY_KNOWS}


def untold(snapshot: Snapshot) -> Iterator[Webhook]:
    """Give the webhooks that have not said, to this process, that they took note of the stored token, and ought to."""
    record = snapshot.record
    for webhook in snapshot.token.webhooks:
        if record is not None and not _is_told(snapshot, webhook, record):
            yield webhook


def look_again_at(snapshot: Snapshot, workload: Workload, now: datetime) -> datetime | None:
    """Say when to look at a workload again: the longer it takes, the more seldom. None: not before it is needed."""
    sight = sight_of(snapshot, workload)
    if sight is not None and sight.standing is Standing.ROLLED_OUT:
        return None
    taken = now - sight.since if sight is not None else timedelta(0)
    return now + max(SOONEST_LOOK, min(taken / _PART, snapshot.token.drift_interval))


def restart_again_at(memory: Memory, workload: Workload, record: Record, now: datetime) -> datetime | None:
    """Say until when a workload is left alone that this process has restarted for the same rotation before, or None.

    Somebody undoes it, a person or another controller: to restart it at every look would be war with them. What was
    counted while the clock was ahead forbids nothing.
    """
    done = memory.restarts.get(workload)
    if done is None or done.rotation_id != record.rotation_id:
        return None
    pause = min(_PAUSE * (1 << min(done.count - 1, _DOUBLINGS)), _LONGEST_PAUSE)
    again_at = done.last_at + pause
    return again_at if now < again_at <= now + _LONGEST_PAUSE else None


def sight_from(rollout: Rollout | None, record: Record, before: Sight | None, now: datetime) -> Sight:
    """Judge a workload as it was read; None: it is not there."""
    if rollout is None:
        return seen_as(Standing.MISSING, "there is no such workload", record, before, now)
    if rollout.rotation_id != record.rotation_id:
        was = "another rotation" if rollout.rotation_id else "no rotation"
        return seen_as(Standing.BEHIND, f"its template names {was}", record, before, now)
    standing = {
        Progress.COMPLETE: Standing.ROLLED_OUT,
        Progress.STALLED: Standing.STALLED,
        Progress.UNDER_WAY: Standing.ROLLING_OUT,
    }[rollout.progress]
    return seen_as(standing, rollout.message, record, before, now)


def seen_as(standing: Standing, message: str, record: Record, before: Sight | None, now: datetime) -> Sight:
    """Give a sight, counted from when the same was seen first."""
    same = before is not None and (before.standing, before.rotation_id) == (standing, record.rotation_id)
    since = before.since if same and before is not None else now
    return Sight(standing=standing, rotation_id=record.rotation_id, message=message, since=since)


def counted(memory: Memory, workload: Workload, record: Record, now: datetime) -> Restarts:
    """Count one more restart of a workload."""
    done = memory.restarts.get(workload)
    count = done.count + 1 if done is not None and done.rotation_id == record.rotation_id else 1
    return Restarts(rotation_id=record.rotation_id, count=count, last_at=now)
