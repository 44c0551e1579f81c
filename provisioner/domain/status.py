"""Where a name stands, in the words of ``provisioner status`` and ``GET /v1/tokens``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from provisioner.domain.checks import (
    consumers_are_behind,
    destination_differs,
    destination_is_unconfirmed,
    stored_token_is_dead,
)
from provisioner.domain.consumers import Standing, Workload
from provisioner.domain.following import NOBODY_KNOWS, restart_again_at, sight_of, untold
from provisioner.domain.memory import Backoff
from provisioner.domain.model import Asking, Record, Stored, Unreadable
from provisioner.domain.overdue import (
    late_destinations,
    passed_over,
    patience,
    revocation_is_overdue,
    rotation_is_overdue,
    secret_is_gone,
)
from provisioner.domain.readers import is_readable, unconfirmed, unreadable
from provisioner.domain.retirement import Retirement, current_since, held_by_copies, out_of_reach, retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import (
    TRY_KEY,
    Decision,
    Mint,
    Refuse,
    Rest,
    confirm_key,
    is_mint_key,
    kind,
    notify_key,
    restart_key,
    revoke_key,
)
from provisioner.domain.timing import rotation_due
from provisioner.domain.trials import is_refused, refusal_is_certain_at, still_has_to_work


class State(StrEnum):
    """A closed choice of states; the last three are unhealthy."""

    OK = "ok"
    DUE = "due"
    ROTATING = "rotating"
    FAILING = "failing"
    REFUSED = "refused"
    UNKNOWN = "unknown"


_STUCK = frozenset({Standing.STALLED, Standing.MISSING, Standing.UNREADABLE})
"""How a workload stands when it asks for somebody."""
NOT_DONE = "not done: under way, or failed"
UNHEALTHY = frozenset({State.FAILING, State.REFUSED, State.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """One destination, and whether it holds the current token just as configured."""

    store: str
    path: str
    revision: str | None
    in_sync: bool
    readable: bool | None = None
    """Whether the reader of its store could read the current token; None: no reader, or not tried yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingRevocation:
    """A live token that is not the current one; ``revoke_at`` None: it is held back, see ``why``."""

    token_id: str
    revoke_at: datetime | None
    why: str
    overdue: bool
    """Whether it lives on although it was to be revoked a good while ago."""
    failed_attempts: int
    last_error: str | None
    """Why the last attempt to revoke it failed, as far as this process has made one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerStatus:
    """One workload that is restarted by a rotation, and how far it is with the current token."""

    kind: str
    namespace: str | None
    """None: our own."""
    name: str
    state: str
    """``behind``, ``rolling-out``, ``stalled``, ``rolled-out``, ``missing``, ``unreadable``, or ``unknown``."""
    message: str
    restarts: int
    """How often this process has restarted it for the current token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStatus:
    """One webhook, and whether it was told of the current token; its address may be its password."""

    host: str
    state: str
    """``delivered``, ``pending`` or ``failing``; ``unknown`` to a process that has never told it."""
    failed_attempts: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRequest:
    """The last rotation that a person asked for, as its record tells, or the daemon that was asked remembers."""

    request_id: str
    compromised: bool
    stored_at: datetime | None = None
    """When the token that came of it was stored; None: nothing came of it yet."""
    asked_at: datetime | None = None
    by: str | None = None
    """Who it was, by their own word."""
    via: str | None = None
    """``socket``, ``http`` or ``direct``."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatus:
    """One name's standing. Times are None where nothing is stored or nothing could be read."""

    name: str
    issuer: str
    labels: Mapping[str, str]
    state: State
    token_id: str | None
    issued_at: datetime | None
    expires_at: datetime | None
    rotate_at: datetime | None
    next_step: str
    next_step_at: datetime | None
    reason: str
    last_error: str | None
    failed_attempts: int
    destinations: tuple[DestinationStatus, ...]
    awaiting_revocation: tuple[AwaitingRevocation, ...]
    consumers: tuple[ConsumerStatus, ...] = ()
    webhooks: tuple[WebhookStatus, ...] = ()
    last_request: LastRequest | None = None
    """Of the stored token, if a person asked for it."""

    @property
    def healthy(self) -> bool:
        """Whether nobody need look at it."""
        return self.state not in UNHEALTHY


def status_of(snapshot: Snapshot, decision: Decision, now: datetime, *, rotating: bool = False) -> TokenStatus:
    """Describe where a name stands at ``now``."""
    record, token = snapshot.record, snapshot.token
    life = snapshot.life or (None, None)
    due = None if life[0] is None or life[1] is None else rotation_due(token, life[0], life[1], now)
    retired = (*retirements(snapshot, now), *held_by_copies(snapshot, now), *out_of_reach(snapshot, now))
    next_step, next_step_at = _next_step(snapshot, decision, now, due, retired)
    last = max(snapshot.memory.backoffs.values(), key=_retry_at, default=None)
    return TokenStatus(
        name=token.name,
        issuer=token.issuer,
        labels=token.labels,
        state=State.ROTATING if rotating else _state(snapshot, decision, now, due, retired),
        token_id=record.token_id if record else None,
        issued_at=life[0],
        expires_at=life[1],
        rotate_at=due,
        next_step=next_step,
        next_step_at=next_step_at,
        reason=_reason(snapshot, decision, now, retired),
        last_error=last.error if last else None,
        failed_attempts=sum(backoff.failures for key, backoff in snapshot.memory.backoffs.items() if is_mint_key(key)),
        destinations=tuple(_destinations(snapshot)),
        awaiting_revocation=tuple(_awaiting(snapshot, plan, now) for plan in retired),
        consumers=tuple(_consumers(snapshot)),
        webhooks=tuple(_webhooks(snapshot)),
        last_request=None if record is None else _last_request(record),
    )


def later_request(recorded: LastRequest | None, remembered: LastRequest) -> LastRequest:
    """Give the last of what the record tells and what a daemon remembers.

    Of the same request the record says who was first; what it tells of them the daemon that they asked knows at length.
    """
    if recorded is None:
        return remembered
    if recorded.request_id == remembered.request_id:
        is_theirs = recorded.asked_at in {None, remembered.asked_at}
        return replace(remembered, stored_at=recorded.stored_at) if is_theirs else recorded
    stored_at, asked_at = recorded.stored_at, remembered.asked_at
    is_later = stored_at is None or (asked_at is not None and asked_at > stored_at)
    return remembered if is_later else recorded


def _last_request(record: Record) -> LastRequest | None:
    if record.request_id is None:
        return None
    asked = record.asked or Asking()
    return LastRequest(
        request_id=record.request_id,
        compromised=record.compromised,
        stored_at=record.stored_at,
        asked_at=asked.at,
        by=asked.by,
        via=asked.via,
        reason=asked.reason,
    )


def _awaiting(snapshot: Snapshot, plan: Retirement, now: datetime) -> AwaitingRevocation:
    failed = snapshot.memory.backoffs.get(revoke_key(plan.target))
    return AwaitingRevocation(
        token_id=plan.target.token_id,
        revoke_at=plan.revoke_at,
        why=plan.why,
        overdue=revocation_is_overdue(snapshot, plan, now),
        failed_attempts=failed.failures if failed else 0,
        last_error=failed.error if failed else None,
    )


def _state(
    snapshot: Snapshot, decision: Decision, now: datetime, due: datetime | None, retired: tuple[Retirement, ...]
) -> State:
    if isinstance(decision.step, Refuse):
        return State.REFUSED
    if isinstance(snapshot.primary, Unreadable) or decision.fact == "truth_is_unreadable":
        return State.UNKNOWN
    troubles = (
        any(is_mint_key(key) for key in snapshot.memory.backoffs),
        decision.hindrance is not None,
        rotation_is_overdue(snapshot, due, now),
        decision.fact == "stored_token_is_dead" and isinstance(decision.step, Mint),  # not: has to be tried
        is_refused(snapshot),
        _is_unproven(snapshot, now, retired),
        secret_is_gone(snapshot, now) is not None,
        _is_out_of_step(snapshot, decision, now),
        _is_kept_from_consumers(snapshot),
        passed_over(snapshot, now) is not None,
        _is_stuck(snapshot, now),
        any(revocation_is_overdue(snapshot, plan, now) for plan in retired),
    )
    if any(troubles):
        return State.FAILING
    return State.DUE if isinstance(decision.step, Mint) else State.OK


def _is_unproven(snapshot: Snapshot, now: datetime, retired: tuple[Retirement, ...]) -> bool:
    """Tell whether trying the stored token fails, and something hangs on it: its life, or its predecessor's end."""
    since = current_since(snapshot)
    if TRY_KEY not in snapshot.memory.backoffs or not still_has_to_work(snapshot):
        return False
    if snapshot.current is None:
        return True
    held_back = any(plan.revoke_at is None and plan.target.is_live(now) for plan in retired)
    return held_back and since is not None and since + snapshot.token.overlap + patience(snapshot) < now


def _is_out_of_step(snapshot: Snapshot, decision: Decision, now: datetime) -> bool:
    """Tell whether a destination does not hold the current token, and is not about to be written, or long was to be."""
    behind = snapshot.record is not None and not all(place.in_sync for place in _destinations(snapshot))
    return behind and (isinstance(decision.step, Rest) or any(late_destinations(snapshot, now)))


def _is_kept_from_consumers(snapshot: Snapshot) -> bool:
    """Tell whether the reader of a store was tried, and could not read what consumers are to read."""
    return any(confirm_key(destination) in snapshot.memory.backoffs for destination, _ in unconfirmed(snapshot))


def _is_stuck(snapshot: Snapshot, now: datetime) -> bool:
    """Tell whether a workload or a webhook asks for somebody: it was tried, and does not come along."""
    return any(_does_not_come(snapshot, workload, now) for workload in snapshot.token.workloads) or any(
        notify_key(webhook) in snapshot.memory.backoffs for webhook in untold(snapshot)
    )


def _does_not_come(snapshot: Snapshot, workload: Workload, now: datetime) -> bool:
    """Tell so of a workload; one that is behind is restarted, unless that fails or is undone."""
    sight, record, memory = sight_of(snapshot, workload), snapshot.record, snapshot.memory
    if sight is None or record is None:
        return False
    if sight.standing is not Standing.BEHIND:
        return sight.standing in _STUCK
    return restart_key(workload) in memory.backoffs or restart_again_at(memory, workload, record, now) is not None


def _reason(snapshot: Snapshot, decision: Decision, now: datetime, retired: tuple[Retirement, ...]) -> str:
    """Say why the step was decided on, what holds it up, and whatever else is not as it should be."""
    said = [decision.message, decision.hindrance, secret_is_gone(snapshot, now), passed_over(snapshot, now)]
    if (
        is_refused(snapshot) or _is_unproven(snapshot, now, retired)
    ) and decision.fact != stored_token_is_dead.__name__:
        said.append(stored_token_is_dead(snapshot, now).message)
    if _is_out_of_step(snapshot, decision, now) and decision.fact != destination_differs.__name__:
        said.append(destination_differs(snapshot, now).message)
    if _is_kept_from_consumers(snapshot):
        said.append(unreadable(snapshot))
    if _is_stuck(snapshot, now):
        said.append(consumers_are_behind(snapshot, now).message)
    overdue = [plan.target.token_id for plan in retired if revocation_is_overdue(snapshot, plan, now)]
    if overdue:
        said.append(f"the revocation of {', '.join(overdue)} is overdue")
    return "; ".join(text for text in said if text)


def _next_step(
    snapshot: Snapshot, decision: Decision, now: datetime, due: datetime | None, retired: tuple[Retirement, ...]
) -> tuple[str, datetime | None]:
    """Name what happens next and when: the step decided on, else the soonest of what is to come. Never in the past."""
    if isinstance(decision.step, Refuse):
        return kind(decision.step), None
    if not isinstance(decision.step, Rest):
        return kind(decision.step), now
    if decision.hindrance is not None:
        return "mint", decision.step.until
    if decision.fact == "truth_is_unreadable":
        return kind(decision.step), decision.step.until
    coming: list[tuple[str, datetime | None]] = [("mint", due), ("try", refusal_is_certain_at(snapshot))]
    coming.append(("copy", destination_differs(snapshot, now).until))
    coming.append(("confirm", destination_is_unconfirmed(snapshot, now).until))
    coming += [_next_for_consumers(snapshot, now)]
    for plan in retired:
        waiting = snapshot.memory.must_wait(revoke_key(plan.target), now)
        coming.append(("revoke", waiting.retry_at if waiting and plan.revoke_at else plan.revoke_at))
    known = [(name, moment) for name, moment in coming if moment is not None and moment > now]
    return min(known, key=lambda item: item[1], default=(kind(decision.step), decision.step.until))


def _next_for_consumers(snapshot: Snapshot, now: datetime) -> tuple[str, datetime | None]:
    """Name what is tried again for consumers; a look at a roll-out is no step."""
    waiting = [
        (name, backoff.retry_at)
        for name, key in (
            *(("restart", restart_key(workload)) for workload in snapshot.token.workloads),
            *(("notify", notify_key(webhook)) for webhook in untold(snapshot)),
        )
        if (backoff := snapshot.memory.must_wait(key, now)) is not None
    ]
    return min(waiting, key=lambda item: item[1], default=("restart", None))


def _consumers(snapshot: Snapshot) -> list[ConsumerStatus]:
    return [
        ConsumerStatus(
            kind=workload.kind.value,
            namespace=workload.namespace,
            name=workload.name,
            state="unknown" if sight is None else sight.standing.value,
            message="it was not looked at" if sight is None else sight.message,
            restarts=_restarts(snapshot, workload),
        )
        for workload in snapshot.token.workloads
        for sight in (sight_of(snapshot, workload),)
    ]


def _restarts(snapshot: Snapshot, workload: Workload) -> int:
    done, record = snapshot.memory.restarts.get(workload), snapshot.record
    return done.count if done is not None and record is not None and done.rotation_id == record.rotation_id else 0


def _webhooks(snapshot: Snapshot) -> list[WebhookStatus]:
    pending = set(untold(snapshot)) if snapshot.record is not None else set(snapshot.token.webhooks)
    described = []
    for webhook in snapshot.token.webhooks:
        failed = snapshot.memory.backoffs.get(notify_key(webhook)) if webhook in pending else None
        state = "delivered" if webhook not in pending else "failing" if failed else "pending"
        state = "unknown" if snapshot.memory.notified.get(webhook) == NOBODY_KNOWS else state
        failures, error = (failed.failures, failed.error) if failed else (0, None)
        described.append(WebhookStatus(host=webhook.host, state=state, failed_attempts=failures, last_error=error))
    return described


def _destinations(snapshot: Snapshot) -> list[DestinationStatus]:
    record = snapshot.record
    return [
        DestinationStatus(
            store=destination.store,
            path=destination.path,
            revision=place.revision if isinstance(place, Stored) else None,
            in_sync=isinstance(place, Stored) and record is not None and place.record == record and place.faithful,
            readable=is_readable(snapshot, destination, place) if isinstance(place, Stored) else None,
        )
        for place, destination in zip((snapshot.primary, *snapshot.copies), snapshot.token.destinations, strict=True)
    ]


def _retry_at(backoff: Backoff) -> datetime:
    return backoff.retry_at
