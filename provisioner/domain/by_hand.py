"""Rotations that people ask for: who, when and why, and how far each is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from provisioner.domain.errors import PermanentError, TemporaryError
from provisioner.domain.status import LastRequest


class Progress(StrEnum):
    """How far a rotation is; the last two are its end."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


ENDED = frozenset({Progress.DONE, Progress.FAILED})
STILL_LIVE: Final = "the new token is stored, but an old one still lives and is tried again in every pass"
"""How a rotation without overlap has failed while it is not finished."""

VISIBLE: Final = "[!-~]"
"""A character of a request id, as a regular expression."""
LONGEST_REQUEST_ID: Final = 200
LONGEST_REASON: Final = 300
LONGEST_BY: Final = 100
"""Characters that a person may send; a record may keep fewer of them."""


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
