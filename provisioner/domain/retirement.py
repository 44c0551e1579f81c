"""When tokens that are not the current one end: predecessors after the overlap, orphans after the quiet period."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from provisioner.domain.following import not_rolled_out
from provisioner.domain.mark import Mark
from provisioner.domain.memory import EndedAttempt, TrialResult
from provisioner.domain.model import (
    Absent,
    Damaged,
    Foreign,
    IssuedToken,
    Listing,
    Record,
    Reservation,
    Stored,
    Unreadable,
)
from provisioner.domain.readers import readable_since, unreadable
from provisioner.domain.snapshot import Snapshot, each_once
from provisioner.domain.timing import rfc3339, whole_seconds
from provisioner.domain.trials import is_refused_for_good
from provisioner.domain.unlisted import last_listed, unseen, unseen_predecessors

MOST_LIVE_TOKENS: Final = 3
"""With that many live marked tokens of a name already, nothing is minted."""
_NO_FENCE: Final = "what is stored can neither be read nor be written over; restore it, or delete it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """What is to become of one live marked token that is not current."""

    target: IssuedToken
    revoke_at: datetime | None
    """None: held back, for the reason in ``why``."""
    why: str
    fence: Record | Reservation | None = None
    """What to write again before the revocation; None when no write of the target can land."""
    overdue_at: datetime | None = None
    """When one that is held back should have gone, were its issuer to answer; None: it is held back by right."""
    is_orphan: bool = True
    """Whether it was never the current one, as far as can be told; False: it was replaced."""
    left_behind: tuple[str, ...] = ()
    """The workloads that it is kept for, or that may have it yet when it goes."""


def retirements(snapshot: Snapshot, now: datetime) -> tuple[Retirement, ...]:
    """Plan the end of every marked token of this name that no destination holds, in the order in which they go."""
    candidates = [
        token for token in snapshot.marked() if not snapshot.is_stored(token) and _needs_an_end(snapshot, token, now)
    ]
    candidates.sort(key=lambda token: (token.created_at is None, token.created_at or now, token.token_id))
    return tuple(_retirement(snapshot, token, now) for token in candidates)


def held_by_copies(snapshot: Snapshot, now: datetime) -> tuple[Retirement, ...]:
    """Plan no end for the live tokens that a copy holds beside the current one: they wait for the copy."""
    holders: dict[str, list[str]] = {}
    for copy in snapshot.copies:
        if isinstance(copy, Stored) and copy.record is not None:
            holders.setdefault(copy.record.token_id, []).append(str(copy.destination))
    if snapshot.record is not None:
        holders.pop(snapshot.record.token_id, None)
    return tuple(
        Retirement(
            target=token,
            revoke_at=None,
            why=f"is not the current one, and is kept: {', '.join(holders[token.token_id])} holds it",
            is_orphan=False,
        )
        for token in snapshot.marked()
        if token.token_id in holders and token.is_live(now)
    )


def out_of_reach(snapshot: Snapshot, now: datetime) -> tuple[Retirement, ...]:
    """Plan no end for tokens that are not current and that live, or may live, at an issuer that gives no list.

    One that was never seen there is overdue only where a person called it compromised: it may be long gone.
    """
    record, since = snapshot.record, _held_everywhere_since(snapshot)
    leaked_at = record.stored_at if record is not None and record.compromised else None
    ends = since + snapshot.token.longest_overlap if record is not None and since is not None else None
    seen = [
        Retirement(
            target=token,
            revoke_at=None,
            why=f"is not the current one, and is kept: its issuer {token.issuer} gives no list",
            overdue_at=leaked_at or ends,
            is_orphan=False,
        )
        for token in last_listed(snapshot)
        if token.is_live(now) and not snapshot.is_stored(token)
    ]
    silent = ", ".join(name for name, listing in snapshot.listings.items() if isinstance(listing, Unreadable))
    unseen_ones = [
        Retirement(
            target=IssuedToken(
                issuer="", token_id=f"rotation {rotation_id}", mark=Mark(snapshot.token.owner, rotation_id)
            ),
            revoke_at=None,
            why=f"was replaced, and may live: issuer {silent} gives no list",
            overdue_at=leaked_at,
            is_orphan=False,
        )
        for rotation_id in sorted(unseen_predecessors(snapshot, now))
    ]
    return (*seen, *unseen_ones)


def live_marked(snapshot: Snapshot, now: datetime) -> int:
    """Count the live tokens of this name, and those that no list shows yet.

    These are the stored one, as long as it has not been refused, those on the last list of an issuer that gives none
    now, and those that are unseen.
    """
    marked = each_once((*snapshot.marked(), *last_listed(snapshot)))
    listed = {token.mark.rotation_id for token in marked if token.mark is not None}
    record = snapshot.record
    stored = (
        record is not None
        and record.rotation_id not in listed
        and record.expires_at > now
        and not is_refused_for_good(snapshot)
    )
    return sum(1 for token in marked if token.is_live(now)) + len(unseen(snapshot, now)) + stored


def stored_since(stored: Stored, record: Record) -> datetime:
    """Give since when the record is the current one.

    The later of what its writer and what the store says: a write may land long after it was sent, and the two clocks
    may differ. An edit by hand, or another process's fence, moves it, and only lengthens an overlap.
    """
    return max(record.stored_at, stored.written_at or record.stored_at)


def current_since(snapshot: Snapshot) -> datetime | None:
    """Give since when the store holds what it holds, our own fences left out: a token, or, after a deletion, none.

    None when nothing tells: nothing has ever been there, or it cannot be read.
    """
    primary, record = snapshot.primary, snapshot.record
    if not isinstance(primary, Stored):
        return None
    fence = snapshot.memory.fence_at(primary)
    if fence is not None:
        return fence.stored_since
    return primary.written_at if record is None else stored_since(primary, record)


def _held_everywhere_since(snapshot: Snapshot) -> datetime | None:
    """Give since when the last destination holds what the primary holds: its consumers have their overlap too."""
    copies = (copy for copy in snapshot.copies if isinstance(copy, Stored) and copy.record is not None)
    moments = (current_since(snapshot), *(copy.written_at for copy in copies if copy.record == snapshot.record))
    return max((moment for moment in (*moments, *readable_since(snapshot)) if moment is not None), default=None)


def is_proven(snapshot: Snapshot) -> bool:
    """Tell whether the current token was seen to work: by use where the issuer can, else by its list."""
    primary, record, current = snapshot.primary, snapshot.record, snapshot.current
    if record is None or not isinstance(primary, Stored):
        return False
    trial = snapshot.memory.trial_of(primary)
    if trial is not None and (trial.result is not TrialResult.NO_ANSWER or trial.refused_since is not None):
        return trial.result is TrialResult.WORKS
    listing = snapshot.listings.get(record.issuer)
    return (
        current is not None
        and current.revoked_at is None
        and isinstance(listing, Listing)
        and not listing.proves_by_use
    )


def _needs_an_end(snapshot: Snapshot, token: IssuedToken, now: datetime) -> bool:
    listing = snapshot.listings.get(token.issuer)
    kept = isinstance(listing, Listing) and listing.keeps_expired and token.is_expired(now) and token.revoked_at is None
    return token.is_live(now) or kept


def _retirement(snapshot: Snapshot, target: IssuedToken, now: datetime) -> Retirement:
    primary, record = snapshot.primary, snapshot.record
    if not isinstance(primary, Stored):
        return Retirement(target=target, revoke_at=None, why="is kept while the store cannot be read")
    if target.is_expired(now):
        return Retirement(target=target, revoke_at=now, why="has expired and still keeps its name")
    older = record is not None and _is_predecessor(snapshot, record, target)
    ended = snapshot.memory.ended_attempt(target.mark.rotation_id) if target.mark else None
    if ended is not None and not (older and ended.may_land):  # one that may have landed may have been current
        return _given_up(snapshot, primary, target, now, ended)
    if record is not None and older:
        return _predecessor(snapshot, record, target, now)
    return _orphan(snapshot, primary, record, target, now)


def _given_up(
    snapshot: Snapshot, primary: Stored, target: IssuedToken, now: datetime, ended: EndedAttempt
) -> Retirement:
    """A token of an attempt that this process has given up, and that will never be stored any more.

    Where a write of it was of unknown outcome, it may have landed and been current until somebody deleted or replaced
    it: then it has its overlap.
    """
    why = "is revoked on request" if ended.on_request else "was left by an attempt that was given up"
    since = _held_everywhere_since(snapshot)
    if not ended.may_land:
        return Retirement(target=target, revoke_at=ended.ended_at, why=why)
    revoke_at = ended.ended_at
    if since is not None and not ended.on_request:
        revoke_at = max(revoke_at, _end_of_overlap(snapshot, since, now)[0])
    if snapshot.memory.is_fenced(ended.rotation_id, primary):
        return Retirement(target=target, revoke_at=revoke_at, why=why)
    fence = _fence(primary)
    if fence is None:
        return Retirement(target=target, revoke_at=None, why=f"{why}, and is kept: {_NO_FENCE}")
    return Retirement(target=target, revoke_at=revoke_at, why=why, fence=fence)


def _fence(primary: Stored) -> Record | Reservation | None:
    """Give what to write again, unchanged, before an orphan is revoked; None where that would destroy something."""
    match primary.content:
        case Record() as record:
            return record
        case Absent() | Reservation():
            return Reservation()
        case Damaged() | Foreign():
            return None
        case _:
            assert_never(primary.content)


def _is_predecessor(snapshot: Snapshot, record: Record, target: IssuedToken) -> bool:
    """Tell whether it is surely older than the current one.

    Either the current one's maker saw it before it began, or one issuer's own clock says so. Then no write of it can
    land: its maker gathered before the revision moved on.
    """
    if target.mark is not None and target.mark.rotation_id in record.predecessors:
        return True
    current = snapshot.current
    if current is None or current.issuer != target.issuer or current.created_at is None or target.created_at is None:
        return False
    return target.created_at < current.created_at


def _predecessor(snapshot: Snapshot, record: Record, target: IssuedToken, now: datetime) -> Retirement:
    """A token older than the current one: no write of it can land, since the revision has moved past it."""
    held_back = _held_back(snapshot, record, now)
    if held_back:
        return Retirement(target=target, revoke_at=None, why=f"was replaced, and is kept: {held_back}", is_orphan=False)
    if record.compromised:
        at = min(record.stored_at, now)  # a clock that is ahead elsewhere must not keep it alive
        return Retirement(target=target, revoke_at=at, why="was replaced as compromised", is_orphan=False)
    since = _held_everywhere_since(snapshot) or record.stored_at
    revoke_at, left = _end_of_overlap(snapshot, since, now)
    until = rfc3339(whole_seconds(revoke_at))
    why = f"was replaced, with an overlap until {until}"
    if left:
        why = f"was replaced, and is kept until {until} at the latest: {'; '.join(left)}"
    if left and revoke_at <= now:
        why = f"was replaced, and its longest overlap has ended at {until} although {'; '.join(left)}"
    return Retirement(target=target, revoke_at=revoke_at, why=why, is_orphan=False, left_behind=left)


def _end_of_overlap(snapshot: Snapshot, since: datetime, now: datetime) -> tuple[datetime, tuple[str, ...]]:
    """Give when an overlap ends that began at ``since``, and the workloads for which it has not ended sooner.

    Where it is to last until all are rolled out, those that are not keep it, for so long at most. A dead token that
    needs room for its successor waits for none of them: they may have it already.
    """
    least, longest = since + snapshot.token.overlap, snapshot.token.until_rolled_out
    left = not_rolled_out(snapshot)
    if longest is None or not left or _needs_room(snapshot, now):
        return least, ()
    return max(least, (current_since(snapshot) or since) + longest), left


def _orphan(
    snapshot: Snapshot, primary: Stored, record: Record | None, target: IssuedToken, now: datetime
) -> Retirement:
    """A token that a crash, a lost answer or a roll-back left: a late write of it may be under way yet."""
    fence = _fence(primary)
    if fence is None:
        return Retirement(target=target, revoke_at=None, why=f"is kept: {_NO_FENCE}")
    if target.created_at is None:
        return Retirement(target=target, revoke_at=None, why="is kept: its issuer does not say when it was created")
    if _may_be_held_unseen(snapshot):
        return Retirement(target=target, revoke_at=None, why="is kept: a destination that cannot be read may hold it")
    if record is None and not _stands_in_the_way(snapshot, target, now):
        why = "is kept until a token is stored: it may be what consumers had before the secret was deleted"
        return Retirement(target=target, revoke_at=None, why=why)
    revoke_at, since = target.created_at + snapshot.token.orphan_quiet_period, _held_everywhere_since(snapshot)
    if since is not None and not (record and record.compromised and target.issuer != record.issuer):
        # it may have been the current one, until a person restored an older version or named another issuer
        revoke_at = max(revoke_at, _end_of_overlap(snapshot, since, now)[0])
    if snapshot.memory.is_fenced(target.mark.rotation_id if target.mark else "", primary):
        fence = None
    why = f"is stored nowhere{_origin(snapshot, target)}, and is kept until {rfc3339(whole_seconds(revoke_at))}"
    return Retirement(target=target, revoke_at=revoke_at, why=why, fence=fence)


def _origin(snapshot: Snapshot, target: IssuedToken) -> str:
    """Say what may have made it an orphan, where its age tells."""
    current = snapshot.current
    if current is None or current.created_at is None or target.created_at is None:
        return ""
    younger = target.created_at > current.created_at
    return " and is younger than the stored one (a roll-back, a crash or a lost answer)" if younger else ""


def _held_back(snapshot: Snapshot, record: Record, now: datetime) -> str | None:
    """Say why no predecessor may be revoked yet, or None."""
    if _needs_room(snapshot, now) and not _may_be_held_unseen(snapshot):
        return None  # it will never be proven, nor copied, and its successor needs the room
    behind = _behind(snapshot)
    if behind:
        return behind
    current = snapshot.current
    if current is not None and not current.is_live(now):
        return f"the current token {record.token_id} is dead, and has no successor yet"
    if not is_proven(snapshot):
        return f"the current token {record.token_id} has not been seen to work"
    # a leaked token must die whoever cannot read
    return (None if record.compromised else unreadable(snapshot)) or _unused(snapshot, record)


def _needs_room(snapshot: Snapshot, now: datetime) -> bool:
    """Tell whether the stored token is dead, and so many live that it can have no successor."""
    current = snapshot.current
    dead = (current is not None and not current.is_live(now)) or is_refused_for_good(snapshot)
    return dead and live_marked(snapshot, now) >= MOST_LIVE_TOKENS


def kept_from_consumers(snapshot: Snapshot, record: Record) -> str | None:
    """Say why a consumer that starts now may not read the current token, or None: only then is one restarted or told.

    Where a token has leaked, consumers who cannot read its successor are no reason to leave the others as they are.
    """
    return _behind(snapshot) or (None if record.compromised else unreadable(snapshot))


def _unused(snapshot: Snapshot, record: Record) -> str | None:
    """Say which issuers that are to be called with the current token have not been yet: the old one is the way back."""
    unused = [
        name
        for name in snapshot.token.credential_of
        if getattr(snapshot.listings.get(name), "credential", None) != record.rotation_id
    ]
    return f"{', '.join(unused)} has not been called with the current token yet" if unused else None


def _stands_in_the_way(snapshot: Snapshot, target: IssuedToken, now: datetime) -> bool:
    """Tell whether, nothing being stored, it is the youngest of so many that nothing may be minted.

    One that another destination holds does not go, and does not count as the youngest.
    """
    ages = [
        token.created_at
        for token in snapshot.marked()
        if token.created_at is not None and token.is_live(now) and not snapshot.is_stored(token)
    ]
    return live_marked(snapshot, now) >= MOST_LIVE_TOKENS and target.created_at == max(ages, default=None)


def _may_be_held_unseen(snapshot: Snapshot) -> bool:
    """Tell whether some copy does not say which token it holds."""
    return any(isinstance(copy, Unreadable) or isinstance(copy.content, Damaged) for copy in snapshot.copies)


def _behind(snapshot: Snapshot) -> str | None:
    """Say which destinations do not hold the current token yet, or None."""
    behind = [
        str(destination)
        for place, destination in zip(snapshot.copies, snapshot.token.destinations[1:], strict=True)
        if not (isinstance(place, Stored) and place.record == snapshot.record)
    ]
    return f"{', '.join(behind)} does not hold the current token yet" if behind else None
