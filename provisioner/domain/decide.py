"""The decision: an ordered chain of checks over one snapshot gives the one step to take now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from provisioner.domain import checks
from provisioner.domain.belonging import may_take
from provisioner.domain.model import Unreadable
from provisioner.domain.retirement import MOST_LIVE_TOKENS, live_marked, retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Decision, Finding, Mint, Refuse, Rest
from provisioner.domain.timing import rfc3339, whole_seconds
from provisioner.domain.unlisted import is_near_its_end, last_listed, replaced_by, unseen_predecessors

Check = Callable[[Snapshot, datetime], Finding]

CHAIN: Final[tuple[Check, ...]] = (
    checks.truth_is_unreadable,
    checks.secret_is_foreign,
    checks.secret_is_missing,
    checks.stored_token_is_dead,
    checks.trigger_is_pending,
    checks.issuer_has_changed,
    checks.permissions_have_changed,
    checks.rotation_is_due,
    checks.destination_differs,
    checks.destination_is_unconfirmed,
    checks.consumers_are_behind,
    checks.token_has_outlived_its_time,
)
"""The checks in the protocol's order, facts 1 to 12; fact 13 is that none of them holds."""

NOTHING_IS_DUE: Final = "nothing_is_due"
_IF_GONE: Final = "if it is gone for good, take it out of the configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One check with its finding, for ``explain``."""

    fact: str
    finding: Finding


def answers(snapshot: Snapshot, now: datetime) -> tuple[Answer, ...]:
    """Ask every check, in order, whatever the ones before it said."""
    return tuple(Answer(fact=check.__name__, finding=check(snapshot, now)) for check in CHAIN)


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """Give the one step to take now: that of the first check that holds and is not held up.

    A mint that is held up (by its backoff, or by the guard of three) leaves room for the steps after
    it: a destination is repaired and an orphan revoked though no token may be minted. So does what
    is the leader's, where another replica decides what belongs to a wish.
    """
    moments = [now + snapshot.token.drift_interval]
    held_up: Decision | None = None
    for check in CHAIN:
        finding = check(snapshot, now)
        if finding.until is not None:
            moments.append(finding.until)
        if finding.step is None:
            continue
        decision = Decision(step=finding.step, fact=check.__name__, message=finding.message)
        if isinstance(finding.step, Rest | Refuse):
            return decision
        if not may_take(finding.step, snapshot):
            continue
        hindrance = _hindrance(snapshot, finding.step, now) if isinstance(finding.step, Mint) else None
        if hindrance is None:
            return (
                decision
                if held_up is None
                else Decision(
                    step=decision.step, fact=decision.fact, message=decision.message, hindrance=held_up.hindrance
                )
            )
        moments.append(hindrance.until)
        if held_up is None:
            held_up = Decision(
                step=decision.step, fact=decision.fact, message=decision.message, hindrance=hindrance.why
            )
    rest = Rest(until=min(moment for moment in moments if moment > now))
    if held_up is not None:
        return Decision(step=rest, fact=held_up.fact, message=held_up.message, hindrance=held_up.hindrance)
    return Decision(step=rest, fact=NOTHING_IS_DUE, message="nothing is due")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hindrance:
    why: str
    until: datetime


def _unlisted(snapshot: Snapshot, now: datetime) -> str | None:
    """Say that tokens of this name cannot be counted, since the issuer they were made at before gives no list.

    Once the stored one is near its end, its successor cannot wait for that.
    """
    record = snapshot.record
    listing = snapshot.listings.get(record.issuer) if record is not None else None
    if record is None or not isinstance(listing, Unreadable) or is_near_its_end(snapshot, now):
        return None
    remedy = f"nothing is minted until it answers; {_IF_GONE}"
    return f"the tokens of its former issuer {record.issuer} could not be listed ({listing.reason}): {remedy}"


def _crowded(snapshot: Snapshot, live: int, now: datetime) -> str:
    """Say that there is no room for a further token, and what to do where that is for an issuer's silence."""
    why = f"{live} live tokens of this name exist already: nothing is minted until one of them may be revoked"
    silent = {token.issuer for token in last_listed(snapshot) if token.is_live(now)}
    if unseen_predecessors(snapshot, now):
        silent |= {name for name, listing in snapshot.listings.items() if isinstance(listing, Unreadable)}
    if not silent:
        ends = [plan.revoke_at for plan in retirements(snapshot, now) if plan.revoke_at is not None]
        first = f", the first at {rfc3339(whole_seconds(min(ends)))}" if ends else ""
        return f"{why}{first}; if that is too late, revoke an older one at its issuer by hand"
    return f"{why}; some of them live or may live at {', '.join(sorted(silent))}, which gives no list: {_IF_GONE}"


def _until(snapshot: Snapshot, now: datetime) -> datetime:
    """Give when to look again at what is held up: as ever, or as soon as the stored token has come near its end."""
    look, record = now + snapshot.token.drift_interval, snapshot.record
    near = replaced_by(record, snapshot.token) if record is not None else look
    return min(look, near) if near > now else look


def _hindrance(snapshot: Snapshot, mint: Mint, now: datetime) -> _Hindrance | None:
    """Say what keeps a wanted mint from being carried out now."""
    unlisted = _unlisted(snapshot, now)
    if unlisted is not None:
        return _Hindrance(why=unlisted, until=_until(snapshot, now))
    live = live_marked(snapshot, now)
    if live >= MOST_LIVE_TOKENS:
        return _Hindrance(why=_crowded(snapshot, live, now), until=_until(snapshot, now))
    waiting = snapshot.memory.must_wait(mint.key, now)
    if waiting is not None:
        return _Hindrance(why=f"failed {waiting.failures} times: {waiting.error}", until=waiting.retry_at)
    return None
