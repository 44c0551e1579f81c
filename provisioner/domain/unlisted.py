"""Tokens of a name that may live although no list shows them now: the guard of three counts them as living."""

from collections.abc import Iterator
from datetime import datetime

from provisioner.domain.memory import EndedAttempt
from provisioner.domain.model import IssuedToken, Listing, ManagedToken, Record, Unreadable
from provisioner.domain.snapshot import Snapshot


def last_listed(snapshot: Snapshot) -> Iterator[IssuedToken]:
    """Give the tokens on the last list of every issuer that gives none now."""
    for issuer, tokens in snapshot.memory.listed.items():
        if isinstance(snapshot.listings.get(issuer), Unreadable):
            yield from tokens


def unseen(snapshot: Snapshot, now: datetime) -> frozenset[str]:
    """Give the rotations that no list shows, and that may have a live token all the same.

    Those are our own attempts that ended, until their issuer shows that nothing came of them, and the predecessors
    that may live at an issuer that gives no list.
    """
    attempts = {attempt.rotation_id for attempt in snapshot.memory.ended if _may_live(snapshot, attempt, now)}
    return frozenset(attempts - _known(snapshot)) | unseen_predecessors(snapshot, now)


def unseen_predecessors(snapshot: Snapshot, now: datetime) -> frozenset[str]:
    """Give the rotations that the stored record came after, and that may live at an issuer that gives no list.

    One that this process saw on a list, and that no list shows any more, was revoked. Since a predecessor ends before
    the stored token does, they hold nothing up when its end is near.
    """
    record = snapshot.record
    all_listed = all(isinstance(listing, Listing) for listing in snapshot.listings.values())
    if record is None or all_listed or is_near_its_end(snapshot, now):
        return frozenset()
    return frozenset(record.predecessors) - _known(snapshot) - snapshot.memory.seen


def is_near_its_end(snapshot: Snapshot, now: datetime) -> bool:
    """Tell whether the stored token has to be replaced now, lest its successor have no overlap with it."""
    record, token = snapshot.record, snapshot.token
    return record is not None and replaced_by(record, token) <= now


def replaced_by(record: Record, token: ManagedToken) -> datetime:
    """Give the last moment at which a record can be replaced in time for the overlap."""
    return record.expires_at - token.longest_overlap - token.rotation_timeout


def _known(snapshot: Snapshot) -> frozenset[str]:
    """Give the rotations that some list shows, be it the last one of an issuer that gives none now."""
    listed = (*snapshot.marked(), *last_listed(snapshot))
    return frozenset(token.mark.rotation_id for token in listed if token.mark is not None)


def _may_live(snapshot: Snapshot, attempt: EndedAttempt, now: datetime) -> bool:
    """Tell whether no list that was asked for a quiet period later shows yet that nothing came of an attempt.

    Of an issuer that is no longer configured nothing is counted; of one that gives no list all, to the end of its life.
    """
    listing, token = snapshot.listings.get(attempt.issuer), snapshot.token
    if listing is None or attempt.ended_at + token.ttl <= now:
        return False
    asked_at = (listing.asked_at or now) if isinstance(listing, Listing) else attempt.ended_at
    return min(asked_at, now) < attempt.ended_at + token.orphan_quiet_period
