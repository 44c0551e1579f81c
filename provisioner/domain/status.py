"""Where a name stands, in the words of ``provisioner status`` and ``GET /v1/tokens``."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from provisioner.domain.checks import destination_differs
from provisioner.domain.model import Backoff, Snapshot, Stored, Unreadable
from provisioner.domain.retirement import Retirement, retirements
from provisioner.domain.steps import MINT_KEY, Decision, Mint, Refuse, Rest, kind
from provisioner.domain.timing import rotation_due


class State(StrEnum):
    """A closed choice of states; the last three are unhealthy."""

    OK = "ok"
    DUE = "due"
    ROTATING = "rotating"
    FAILING = "failing"
    REFUSED = "refused"
    UNKNOWN = "unknown"


UNHEALTHY = frozenset({State.FAILING, State.REFUSED, State.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """One destination, and whether it holds the current token just as configured."""

    store: str
    path: str
    revision: str | None
    in_sync: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingRevocation:
    """A live token that is not the current one; ``revoke_at`` None: it is held back, see ``why``."""

    token_id: str
    revoke_at: datetime | None
    why: str


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

    @property
    def healthy(self) -> bool:
        """Whether nobody need look at it."""
        return self.state not in UNHEALTHY


def status_of(snapshot: Snapshot, decision: Decision, now: datetime, *, rotating: bool = False) -> TokenStatus:
    """Describe where a name stands at ``now``."""
    record, token = snapshot.record, snapshot.token
    life = snapshot.life or (None, None)
    due = None if life[0] is None or life[1] is None else rotation_due(token, life[0], life[1], now)
    retired = retirements(snapshot, now)
    next_step, next_step_at = _next_step(decision, now, due, retired)
    last = max(snapshot.memory.backoffs.values(), key=_retry_at, default=None)
    return TokenStatus(
        name=token.name,
        issuer=token.issuer,
        labels=token.labels,
        state=State.ROTATING if rotating else _state(snapshot, decision, now, due),
        token_id=record.token_id if record else None,
        issued_at=life[0],
        expires_at=life[1],
        rotate_at=due,
        next_step=next_step,
        next_step_at=next_step_at,
        reason=_reason(snapshot, decision, now),
        last_error=last.error if last else None,
        failed_attempts=sum(backoff.failures for key, backoff in snapshot.memory.backoffs.items() if _is_mint(key)),
        destinations=tuple(_destinations(snapshot)),
        awaiting_revocation=tuple(
            AwaitingRevocation(token_id=plan.target.token_id, revoke_at=plan.revoke_at, why=plan.why)
            for plan in retired
        ),
    )


def _state(snapshot: Snapshot, decision: Decision, now: datetime, due: datetime | None) -> State:
    if isinstance(decision.step, Refuse):
        return State.REFUSED
    if isinstance(snapshot.primary, Unreadable) or decision.fact == "truth_is_unreadable":
        return State.UNKNOWN
    failed = any(_is_mint(key) for key in snapshot.memory.backoffs)
    overdue = due is not None and due + snapshot.token.rotation_timeout < now
    dead = decision.fact == "stored_token_is_dead" and isinstance(decision.step, Mint)  # not: has to be tried
    if failed or decision.hindrance is not None or overdue or dead or _is_out_of_step(snapshot, decision):
        return State.FAILING
    return State.DUE if isinstance(decision.step, Mint) else State.OK


def _is_out_of_step(snapshot: Snapshot, decision: Decision) -> bool:
    """Tell whether a destination does not hold the current token, and is not about to be written."""
    behind = snapshot.record is not None and not all(place.in_sync for place in _destinations(snapshot))
    return behind and isinstance(decision.step, Rest)


def _reason(snapshot: Snapshot, decision: Decision, now: datetime) -> str:
    """Say why the step was decided on, what holds it up, and which destination is out of step."""
    said = [decision.message] if decision.hindrance is None else [decision.message, decision.hindrance]
    if _is_out_of_step(snapshot, decision):
        said.append(destination_differs(snapshot, now).message)
    return "; ".join(said)


def _next_step(
    decision: Decision, now: datetime, due: datetime | None, retired: tuple[Retirement, ...]
) -> tuple[str, datetime | None]:
    """Name what happens next and when: the step decided on, else the sooner of rotation and revocation."""
    if isinstance(decision.step, Refuse):
        return kind(decision.step), None
    if not isinstance(decision.step, Rest):
        return kind(decision.step), now
    if decision.hindrance is not None:
        return "mint", decision.step.until
    revocations = [plan.revoke_at for plan in retired if plan.revoke_at is not None]
    coming = [("mint", due)] if due is not None else []
    coming += [("revoke", moment) for moment in revocations]
    return min(coming, key=lambda item: item[1], default=("rest", decision.step.until))


def _destinations(snapshot: Snapshot) -> list[DestinationStatus]:
    record = snapshot.record
    return [
        DestinationStatus(
            store=destination.store,
            path=destination.path,
            revision=place.revision if isinstance(place, Stored) else None,
            in_sync=isinstance(place, Stored) and record is not None and place.record == record and place.faithful,
        )
        for place, destination in zip((snapshot.primary, *snapshot.copies), snapshot.token.destinations, strict=True)
    ]


def _is_mint(key: str) -> bool:
    return key == MINT_KEY or key.startswith(f"{MINT_KEY}:")


def _retry_at(backoff: Backoff) -> datetime:
    return backoff.retry_at
