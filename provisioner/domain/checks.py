"""The reasons to act, one pure function each: named as a fact, answering with a Finding.

A Finding that holds carries the step to take. One that does not hold says what was seen, and until
when that answer stands if only time passes. The order in which they are asked is in ``decide``.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from provisioner.domain.belonging import may_take
from provisioner.domain.consumers import Standing, Webhook, Workload
from provisioner.domain.following import NOBODY_KNOWS, look_again_at, restart_again_at, sight_of, untold
from provisioner.domain.memory import TrialResult
from provisioner.domain.model import (
    Absent,
    Damaged,
    Destination,
    Foreign,
    IssuedToken,
    Listing,
    Record,
    Reservation,
    Stored,
    Unreadable,
    digest_of,
)
from provisioner.domain.readers import unconfirmed
from provisioner.domain.retirement import kept_from_consumers, retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import (
    GATHER_KEY,
    TRY_KEY,
    Amend,
    Confirm,
    Copy,
    Finding,
    Mint,
    Notify,
    Refuse,
    Rest,
    Restart,
    Revoke,
    TryStored,
    look_key,
    notify_key,
    read_key,
    revoke_key,
)
from provisioner.domain.timing import rfc3339, rotation_due, whole_seconds
from provisioner.domain.trials import may_be_edited, next_trial, proves_by_use

_NOT_READ = "not asked: a truth could not be read"
_NOTHING_STORED = "nothing is stored"


def truth_is_unreadable(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 1: the primary or the configured issuer gave no answer. Never mint blind."""
    unread = [*_unread_store(snapshot), *_unread_issuer(snapshot)]
    if not unread:
        return Finding(message="store and issuer were read")
    backoff = snapshot.memory.must_wait(GATHER_KEY, now)
    until = backoff.retry_at if backoff else now + min(snapshot.token.drift_interval, timedelta(seconds=30))
    return Finding(message="; ".join(unread), step=Rest(until=until))


def secret_is_foreign(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 2: the primary path holds somebody else's secret. Refuse, unless it may be adopted."""
    primary = snapshot.primary
    if not isinstance(primary, Stored) or not isinstance(primary.content, Foreign):
        return Finding(message="what is stored is not foreign")
    place = primary.destination
    if place.adopt:
        return Finding(message=f"{place} holds a foreign secret, and the configuration says adopt")
    remedy = "move it away, choose another path, or set adopt: true on this destination"
    message = f"{place} holds a secret that is not ours ({primary.content.why}): {remedy}"
    return Finding(message=message, step=Refuse(until=now + snapshot.token.drift_interval))


def secret_is_missing(snapshot: Snapshot, now: datetime) -> Finding:  # noqa: ARG001  # every check has one shape
    """Fact 3: no token of ours is stored."""
    primary = snapshot.primary
    if not isinstance(primary, Stored):
        return Finding(message=_NOT_READ)
    place = primary.destination
    match primary.content:
        case Absent():
            deleted = f", it was deleted at {rfc3339(whole_seconds(primary.written_at))}" if primary.written_at else ""
            message = f"no secret is stored at {place}{deleted}"
        case Reservation():
            message = f"{place} holds only our reservation, no token"
        case Damaged(defects=defects):
            message = f"the record at {place} lacks a readable {', '.join(defects)}"
        case Foreign():
            message = f"{place} holds a foreign secret that is to be adopted"
        case Record():
            return Finding(message=f"{place} holds a token")
    return Finding(message=message, step=Mint(primary=primary, trigger=snapshot.pending_trigger))


def stored_token_is_dead(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 4: the stored token is revoked, expired, or refused when used. Mint now."""
    record, primary, life = snapshot.record, snapshot.primary, snapshot.life
    if record is None or life is None or not isinstance(primary, Stored):
        return Finding(message=_NOTHING_STORED)
    current, (issued_at, expires_at) = snapshot.current, life
    ended = _end_of_life(record, current, expires_at, now)
    if ended is not None:
        return Finding(message=ended, step=Mint(primary=primary, trigger=snapshot.pending_trigger))
    listing = snapshot.listings.get(record.issuer)
    if not isinstance(listing, Listing):
        return Finding(message=f"the list of issuer {record.issuer} was not read", until=expires_at)
    settled = issued_at + snapshot.token.verify_timeout
    if current is None and now < settled:
        return Finding(
            message=f"{record.token_id} is not listed, and too young for that to mean anything", until=settled
        )
    if current is not None and not proves_by_use(snapshot, record):
        return Finding(message=f"the stored token {record.token_id} is listed as live", until=expires_at)
    finding = _finding_of_trial(snapshot, primary, record, now)
    return finding if finding.until else replace(finding, until=expires_at)


def _end_of_life(record: Record, current: IssuedToken | None, expires_at: datetime, now: datetime) -> str | None:
    """Say how the stored token's life has ended by what is written of it, or None."""
    if current is not None and current.revoked_at is not None:
        return f"the stored token {record.token_id} was revoked at {rfc3339(current.revoked_at)}"
    if expires_at <= now:
        return f"the stored token {record.token_id} expired at {rfc3339(expires_at)}"
    return None


def _finding_of_trial(snapshot: Snapshot, primary: Stored, record: Record, now: datetime) -> Finding:
    """Judge by use: a token that is not listed is dead when refused once, a listed one when refused for long."""
    trial = snapshot.memory.trial_of(primary)
    listed = "listed as live" if snapshot.current else "not listed"
    again = None if trial is None else next_trial(snapshot, trial)
    if trial is None or (again is not None and again <= now):
        waiting = snapshot.memory.must_wait(TRY_KEY, now)
        if waiting is None:
            message = f"the stored token {record.token_id} is {listed}, and has to be tried"
            return Finding(message=message, step=TryStored(record=record, revision=primary.revision))
        message = f"the stored token {record.token_id} is {listed}, and could not be tried: {waiting.error}"
        return Finding(message=message, until=waiting.retry_at)
    if trial.result is not TrialResult.REFUSED:
        return Finding(message=f"the stored token {record.token_id} is {listed}: {trial.result.value}", until=again)
    if again is not None:
        message = f"the stored token {record.token_id} is {listed}, but was refused when tried"
        return Finding(message=message, until=again)
    message = f"the stored token {record.token_id} is {listed}, and was refused when tried"
    return Finding(message=message, step=Mint(primary=primary, trigger=snapshot.pending_trigger))


def trigger_is_pending(snapshot: Snapshot, now: datetime) -> Finding:  # noqa: ARG001  # every check has one shape
    """Fact 5: a person asked for a rotation that the stored record does not know of."""
    trigger, record, primary = snapshot.trigger, snapshot.record, snapshot.primary
    if trigger is None or not isinstance(primary, Stored) or record is None:
        return Finding(message="nobody asked for a rotation" if trigger is None else _NOTHING_STORED)
    if record.has_honoured(trigger.request_id):
        return Finding(message=f"request {trigger.request_id} has been honoured")
    because = f" ({trigger.reason})" if trigger.reason else ""
    message = f"request {trigger.request_id} asks for a rotation{because}"
    return Finding(message=message, step=Mint(primary=primary, trigger=trigger))


def issuer_has_changed(snapshot: Snapshot, now: datetime) -> Finding:  # noqa: ARG001  # every check has one shape
    """Fact 6: the configuration names another issuer than the one that issued the stored token."""
    record, primary = snapshot.record, snapshot.primary
    if record is None or not isinstance(primary, Stored):
        return Finding(message=_NOTHING_STORED)
    if record.issuer == snapshot.token.issuer:
        return Finding(message=f"the stored token was issued by {record.issuer}, as configured")
    message = f"the stored token was issued by {record.issuer}, the configuration names {snapshot.token.issuer}"
    return Finding(message=message, step=Mint(primary=primary, trigger=snapshot.pending_trigger))


def permissions_have_changed(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 7: the stored token may do something else than configured. Amended in place where its issuer can."""
    current, primary = snapshot.current, snapshot.primary
    if snapshot.record is None or not isinstance(primary, Stored):
        return Finding(message=_NOTHING_STORED)
    change = permission_change(snapshot, now)
    if change is None or current is None:
        return Finding(message="the stored token has the configured permissions, or its issuer lists none")
    message = f"the stored token {current.token_id} {change}"
    listing = snapshot.listings.get(current.issuer)
    if isinstance(listing, Listing) and listing.amends_permissions:
        return _to_be_amended(snapshot, current, message, now)
    if snapshot.record.permissions_digest == digest_of(snapshot.token.permissions):
        return Finding(message=f"{message}; just that was asked for, so a new one would be listed no other")
    return Finding(message=message, step=Mint(primary=primary, trigger=snapshot.pending_trigger))


def _to_be_amended(snapshot: Snapshot, current: IssuedToken, message: str, now: datetime) -> Finding:
    """Change it once: what its issuer goes on listing otherwise is not asked for without end."""
    amend, done = Amend(target=current, permissions=snapshot.token.permissions), snapshot.memory.amendment
    if done is not None and (done.token_id, done.permissions) == (current.token_id, amend.permissions):
        return Finding(message=f"{message}; it was changed to that, and its list does not show it")
    waiting = snapshot.memory.must_wait(amend.key, now)
    if waiting is not None:
        return Finding(message=f"{message}; changing that failed: {waiting.error}", until=waiting.retry_at)
    return Finding(message=message, step=amend)


def permission_change(snapshot: Snapshot, now: datetime) -> str | None:
    """Say what the live stored token may do other than configured, or None.

    Only of one that surely is ours, and the very one whose string is stored: a person can write another's id there.
    """
    token, record, current = snapshot.token, snapshot.record, snapshot.current
    if record is None or current is None or current.permissions is None or not current.is_live(now):
        return None
    is_ours = current.mark is not None and (current.mark.owner, current.mark.rotation_id) == (
        token.owner,
        record.rotation_id,
    )
    if not is_ours or current.issuer != token.issuer or current.permissions == token.permissions:
        return None
    given, wanted = (", ".join(map(str, sorted(some))) or "none" for some in (current.permissions, token.permissions))
    return f"has the permissions {given}, the configuration says {wanted}"


def rotation_is_due(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 8: the stored token has reached the point of its life at which it is rotated."""
    primary, life = snapshot.primary, snapshot.life
    if life is None or not isinstance(primary, Stored):
        return Finding(message=_NOTHING_STORED)
    due = rotation_due(snapshot.token, *life, now)
    if now < due:
        return Finding(message=f"rotation is due at {rfc3339(whole_seconds(due))}", until=due)
    message = f"rotation has been due since {rfc3339(whole_seconds(due))}"
    return Finding(message=message, step=Mint(primary=primary, trigger=snapshot.pending_trigger))


def destination_differs(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 9: a destination does not hold the primary's record, or spells it otherwise than configured."""
    record, waits, troubles = snapshot.record, [], []
    if record is None:
        return Finding(message=_NOTHING_STORED)
    if may_be_edited(snapshot):
        return Finding(message="no copy is written: the stored token was refused, and a copy may be the way back in")
    for place, destination in zip((snapshot.primary, *snapshot.copies), snapshot.token.destinations, strict=True):
        trouble = _difference(place, record)
        if trouble is None:
            continue
        troubles.append(f"{destination} {trouble}")
        unread = snapshot.memory.must_wait(read_key(destination), now)
        if unread is not None:
            waits.append(unread.retry_at)
        if not isinstance(place, Stored) or (isinstance(place.content, Foreign) and not destination.adopt):
            continue
        copy = Copy(record=record, destination=destination, revision=place.revision)
        waiting = snapshot.memory.must_wait(copy.key, now)
        if waiting is None:
            return Finding(message=troubles[-1], step=copy)
        waits.append(waiting.retry_at)
        troubles[-1] += f" (writing it failed: {waiting.error})"
    return Finding(
        message="; ".join(troubles) or "every destination holds the current token", until=min(waits, default=None)
    )


def out_of_step(snapshot: Snapshot) -> Iterator[Destination]:
    """Give the destinations that are not known to hold the current record as configured."""
    for place, destination in zip((snapshot.primary, *snapshot.copies), snapshot.token.destinations, strict=True):
        if snapshot.record is None or _difference(place, snapshot.record) is not None:
            yield destination


def _difference(place: Stored | Unreadable, record: Record) -> str | None:
    """Say how a destination differs from the primary's record, or None."""
    if isinstance(place, Unreadable):
        return f"could not be read: {place.reason}"
    if place.defects:
        return f"was damaged ({', '.join(place.defects)}), and is put right from the issuer's list"
    match place.content:
        case Foreign(why=why):
            return f"holds a secret that is not ours ({why})"
        case Record() as held if held == record:
            return None if place.faithful else "does not spell the record as the configuration asks"
        case _:
            return "does not hold the current token"


def destination_is_unconfirmed(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 10: a destination with a reader holds the current record, and nobody has seen that consumers can read it."""
    record, waits, troubles = snapshot.record, [], []
    if record is None:
        return Finding(message=_NOTHING_STORED)
    for destination, revision in unconfirmed(snapshot):
        confirm = Confirm(record=record, destination=destination, revision=revision)
        waiting = snapshot.memory.must_wait(confirm.key, now)
        if waiting is None:
            return Finding(message=f"{destination} is to be read as consumers read it", step=confirm)
        waits.append(waiting.retry_at)
        troubles.append(waiting.error)
    seen = "consumers can read every destination whose store has a reader"
    return Finding(message="; ".join(troubles) or seen, until=min(waits, default=None))


def consumers_are_behind(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 11: a workload was not restarted for the stored token, or a webhook not told, though all can read it."""
    record = snapshot.record
    if record is None:
        return Finding(message=_NOTHING_STORED)
    kept = kept_from_consumers(snapshot, record) if snapshot.token.on_rotate else None
    if kept is not None:
        return Finding(message=f"no consumer is restarted or told yet: {kept}")
    waits, seen, token = [], [], snapshot.token
    is_later = token.webhooks and token_has_outlived_its_time(snapshot, now).step is not None
    of_webhook = _of_webhook_later if is_later else _of_webhook
    findings = (
        *(_of_workload(snapshot, record, workload, now) for workload in token.workloads),
        *(of_webhook(snapshot, record, webhook, now) for webhook in _in_trouble_last(snapshot)),
    )
    for finding in findings:
        if finding.step is not None:
            return finding
        seen.append(finding.message)
        waits += [finding.until] if finding.until is not None else []
    return Finding(
        message="; ".join(seen) or "nothing is to follow a rotation of this name", until=min(waits, default=None)
    )


def _of_workload(snapshot: Snapshot, record: Record, workload: Workload, now: datetime) -> Finding:
    """Restart what is behind, unless its backoff, or a restart that somebody has undone, asks for patience."""
    sight, memory = sight_of(snapshot, workload), snapshot.memory
    if sight is None:
        return Finding(message=f"{workload} has not been looked at yet", until=look_again_at(snapshot, workload, now))
    message = f"{workload} is {sight.standing.value}: {sight.message}"
    if sight.standing is not Standing.BEHIND:
        unread = memory.must_wait(look_key(workload), now)
        return Finding(message=message, until=unread.retry_at if unread else look_again_at(snapshot, workload, now))
    restart = Restart(record=record, workload=workload)
    waiting, again_at = memory.must_wait(restart.key, now), restart_again_at(memory, workload, record, now)
    if waiting is not None:
        return Finding(message=f"{message}; restarting it failed: {waiting.error}", until=waiting.retry_at)
    if again_at is not None:
        done = memory.restarts[workload].count
        why = f"it was restarted {done} times for this rotation, and somebody has undone that: it is left alone until"
        return Finding(message=f"{message}; {why} {rfc3339(whole_seconds(again_at))}", until=again_at)
    return Finding(message=f"{message}, and the stored one is {record.rotation_id}", step=restart)


def _in_trouble_last(snapshot: Snapshot) -> list[Webhook]:
    """Give the webhooks, those that hung or failed before behind the others: they may hang again."""
    backoffs = snapshot.memory.backoffs
    return sorted(snapshot.token.webhooks, key=lambda webhook: notify_key(webhook) in backoffs)


def _of_webhook_later(snapshot: Snapshot, record: Record, webhook: Webhook, now: datetime) -> Finding:
    """Let a webhook wait for a revocation that is to come now: one that hangs must not keep a leaked token alive."""
    del snapshot, record, now
    return Finding(message=f"{webhook} comes after what is to be revoked now")


def _of_webhook(snapshot: Snapshot, record: Record, webhook: Webhook, now: datetime) -> Finding:
    """Tell what has not been told, at least once in each process that acts."""
    if webhook not in untold(snapshot):
        if snapshot.memory.notified.get(webhook) == NOBODY_KNOWS:
            return Finding(message=f"whether {webhook} was told, the daemon knows alone")
        return Finding(message=f"{webhook} was told")
    notify = Notify(record=record, webhook=webhook)
    waiting = snapshot.memory.must_wait(notify.key, now)
    if waiting is not None:
        return Finding(message=f"telling {webhook} failed: {waiting.error}", until=waiting.retry_at)
    return Finding(message=f"{webhook} has not been told of rotation {record.rotation_id} yet", step=notify)


def token_has_outlived_its_time(snapshot: Snapshot, now: datetime) -> Finding:
    """Fact 12: a live marked token that is not the current one may be revoked now."""
    if isinstance(snapshot.primary, Unreadable):
        return Finding(message=_NOT_READ)
    plans = retirements(snapshot, now)
    due = [plan for plan in plans if plan.revoke_at is not None and plan.revoke_at <= now]
    waits = [waiting.retry_at for plan in due if (waiting := snapshot.memory.must_wait(revoke_key(plan.target), now))]
    for plan in due:
        step = Revoke(target=plan.target, fence=plan.fence, primary=snapshot.primary)
        if snapshot.memory.must_wait(step.key, now) is None and may_take(step, snapshot):
            return Finding(message=f"{plan.target.token_id} {plan.why}", step=step)
    if not plans:
        return Finding(message="no other token of this name is live")
    later = [plan.revoke_at for plan in plans if plan.revoke_at is not None and plan.revoke_at > now]
    listed = ", ".join(f"{plan.target.token_id} ({plan.why})" for plan in plans)
    return Finding(message=f"awaiting revocation: {listed}", until=min([*later, *waits], default=None))


def _unread_store(snapshot: Snapshot) -> Iterator[str]:
    if isinstance(snapshot.primary, Unreadable):
        yield f"{snapshot.token.primary} could not be read: {snapshot.primary.reason}"


def _unread_issuer(snapshot: Snapshot) -> Iterator[str]:
    listing = snapshot.listings.get(snapshot.token.issuer, Unreadable(reason="it is not configured"))
    if isinstance(listing, Unreadable):
        yield f"the tokens of issuer {snapshot.token.issuer} could not be listed: {listing.reason}"
