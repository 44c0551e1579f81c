"""What is told of our own pod as Kubernetes Events: which of the engine's events, and in which words. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from provisioner.domain import events
from provisioner.domain.scrub import scrub
from provisioner.domain.steps import MINT_KEY

LONGEST_NOTE: Final = 1000
"""Kubernetes takes 1024 bytes."""
AGAIN_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One Event."""

    reason: str
    action: str
    text: str
    is_warning: bool = False


@dataclass(slots=True)
class _Failures:
    """Failures of one name in a row."""

    since: datetime
    count: int
    told_at: datetime


class Notes:
    """Turns events into notes; of failures of a name the first is told, then one an hour with their number."""

    def __init__(self) -> None:
        """Begin without failures."""
        self._failures: dict[str, _Failures] = {}

    def of(self, event: events.Event, now: datetime) -> Note | None:
        """Give what is to be told of an event at that moment, or None."""
        match event:
            case events.RotationFinished():
                self._failures.pop(event.name, None)
                text = f"{event.name}: rotated ({event.fact}), rotation {event.rotation_id}"
                return Note(reason="Rotated", action="Rotate", text=_short(text))
            case events.TokenRevoked():
                text = f"{event.name}: revoked {event.token_id} of {event.issuer}, which {event.reason}"
                return Note(reason="Revoked", action="Revoke", text=_short(text))
            case events.StepFailed() if event.step == MINT_KEY:
                return self._of_failure(event, now)
            case _:
                return None

    def _of_failure(self, event: events.StepFailed, now: datetime) -> Note | None:
        failures = self._failures.get(event.name)
        if failures is None:
            failures = self._failures[event.name] = _Failures(since=now, count=1, told_at=now)
        else:
            failures.count += 1
            if abs(now - failures.told_at) < AGAIN_AFTER:
                return None
            failures.told_at = now
        often = f" ({failures.count} times)" if failures.count > 1 else ""
        text = f"{event.name}: the rotation failed{often}: {event.error}"
        return Note(reason="RotationFailed", action="Rotate", text=_short(text), is_warning=True)


def _short(text: str) -> str:
    """Give a text that fits, whatever its letters take in bytes."""
    return scrub(text).encode()[:LONGEST_NOTE].decode(errors="ignore")
