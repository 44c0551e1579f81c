"""Rotations that people ask for: who, when and why, and how far each is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from provisioner.domain.errors import PermanentError, TemporaryError
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.status import LastRequest
from provisioner.domain.steps import Amend, Confirm, Copy, Effect, Mint, Notify, Restart, Revoke, TryStored


class Progress(StrEnum):
    """How far a rotation is; the last two are its end."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


ENDED = frozenset({Progress.DONE, Progress.FAILED})


class RequestDiffersError(PermanentError):
    """A request id was used before, for something else."""


class NotTakenError(TemporaryError):
    """A wish was not taken: by this process, or not now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks for, of one name or of several."""

    request_id: str
    reason: str = ""
    compromised: bool = False
    by: str | None = None
    """Who they are, by their own word."""
    via: str = "socket"
    """How they came: ``socket``, ``http`` or ``direct``."""


def belongs_to_wish(step: Effect, snapshot: Snapshot) -> bool:
    """Tell whether a step has to be taken for the snapshot's trigger: by whoever was asked for it, leader or not.

    That is what makes room for the rotation, the rotation, and what follows the commit of it: copies, consumers, and,
    of a compromised name, the end of every older token. Whatever else is to be done for the name is the leader's.
    """
    trigger, record = snapshot.trigger, snapshot.record
    if trigger is None:
        return False
    is_pending = snapshot.pending_trigger is not None
    is_current = record is not None and record.request_id == trigger.request_id
    match step:
        case Mint():
            return step.trigger is not None
        case TryStored():
            return is_pending or is_current
        case Revoke(target=target):
            in_vain = target.mark is not None and snapshot.memory.ended_attempt(target.mark.rotation_id) is not None
            return is_pending or in_vain or (is_current and record is not None and record.compromised)
        case Copy() | Confirm() | Restart() | Notify():
            return is_current
        case Amend():
            return False
        case _:
            assert_never(step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One thing that was done for the name since."""

    name: str
    began_at: datetime
    ended_at: datetime | None = None
    said: str | None = None
    """What came of it, where there is more to say than that it ended."""
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """One rotation that somebody asked for."""

    id: str
    name: str
    wish: Wish
    asked_at: datetime
    progress: Progress = Progress.WAITING
    tries: int = 1
    """How often it was begun: asked for again after it had failed, it is begun again."""
    phases: tuple[Phase, ...] = ()
    ended_at: datetime | None = None
    already: bool = False
    """Whether it had been honoured before this process was asked."""
    token_id: str | None = None
    error: str | None = None
    revoked: tuple[str, ...] = ()
    still_live: tuple[str, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is done for it."""
        return self.progress in ENDED

    @property
    def request(self) -> LastRequest:
        """What ``status`` says of it."""
        done = self.ended_at if self.progress is Progress.DONE else None
        wish = self.wish
        return LastRequest(
            request_id=wish.request_id,
            compromised=wish.compromised,
            stored_at=done,
            asked_at=self.asked_at,
            by=wish.by,
            via=wish.via,
            reason=wish.reason or None,
        )
