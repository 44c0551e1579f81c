"""The decision: an ordered chain of checks over one snapshot gives the one step to take now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from provisioner.domain import checks
from provisioner.domain.model import Unreadable
from provisioner.domain.retirement import MOST_LIVE_TOKENS, live_marked
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Decision, Finding, Mint, Refuse, Rest

Check = Callable[[Snapshot, datetime], Finding]

CHAIN: Final[tuple[Check, ...]] = (
    checks.truth_is_unreadable,
    checks.secret_is_foreign,
    checks.secret_is_missing,
    checks.stored_token_is_dead,
    checks.trigger_is_pending,
    checks.issuer_has_changed,
    checks.rotation_is_due,
    checks.destination_differs,
    checks.destination_is_unconfirmed,
    checks.token_has_outlived_its_time,
)
"""The checks in the protocol's order, facts 1 to 10; fact 11 is that none of them holds."""

NOTHING_IS_DUE: Final = "nothing_is_due"


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
    it: a destination is repaired and an orphan revoked though no token may be minted.
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

    Once the stored one has come to its end, its successor cannot wait for that.
    """
    record = snapshot.record
    listing = snapshot.listings.get(record.issuer) if record is not None else None
    if record is None or not isinstance(listing, Unreadable) or record.expires_at <= now:
        return None
    remedy = "nothing is minted until it answers; if it is gone for good, take it out of the configuration"
    return f"the tokens of its former issuer {record.issuer} could not be listed ({listing.reason}): {remedy}"


def _hindrance(snapshot: Snapshot, mint: Mint, now: datetime) -> _Hindrance | None:
    """Say what keeps a wanted mint from being carried out now."""
    unlisted = _unlisted(snapshot, now)
    if unlisted is not None:
        return _Hindrance(why=unlisted, until=now + snapshot.token.drift_interval)
    live = live_marked(snapshot, now)
    if live >= MOST_LIVE_TOKENS:
        why = f"{live} live tokens of this name exist already: nothing is minted until one of them may be revoked"
        return _Hindrance(why=why, until=now + snapshot.token.drift_interval)
    waiting = snapshot.memory.must_wait(mint.key, now)
    if waiting is not None:
        return _Hindrance(why=f"failed {waiting.failures} times: {waiting.error}", until=waiting.retry_at)
    return None
