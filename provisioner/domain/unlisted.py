"""Tokens of a name that may live although no list shows them now: the guard of three counts them as living."""

from collections.abc import Iterator
from datetime import datetime

from provisioner.domain.memory import EndedAttempt
from provisioner.domain.model import IssuedToken, Listing, Unreadable
from provisioner.domain.snapshot import Snapshot


def last_listed(snapshot: Snapshot) -> Iterator[IssuedToken]:
    """Give the tokens on the last list of every issuer that gives none now."""
    for issuer, tokens in snapshot.memory.listed.items():
        if isinstance(snapshot.listings.get(issuer), Unreadable):
            yield from tokens


def unseen(snapshot: Snapshot, now: datetime) -> frozenset[str]:
    """Give the rotations that no list shows, and that may have a live token all the same.

    Those are our own attempts that ended, until their issuer shows that nothing came of them.
    """
    known = {token.mark.rotation_id for token in (*snapshot.marked(), *last_listed(snapshot)) if token.mark is not None}
    attempts = {attempt.rotation_id for attempt in snapshot.memory.ended if _may_live(snapshot, attempt, now)}
    return frozenset(attempts - known)


def _may_live(snapshot: Snapshot, attempt: EndedAttempt, now: datetime) -> bool:
    """Tell whether no list that was asked for a quiet period later shows yet that nothing came of an attempt.

    Of an issuer that is no longer configured nothing is counted; of one that gives no list all, to the end of its life.
    """
    listing, token = snapshot.listings.get(attempt.issuer), snapshot.token
    if listing is None or attempt.ended_at + token.ttl <= now:
        return False
    asked_at = (listing.asked_at or now) if isinstance(listing, Listing) else attempt.ended_at
    return min(asked_at, now) < attempt.ended_at + token.orphan_quiet_period
