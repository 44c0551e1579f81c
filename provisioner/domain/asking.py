"""Who asked for a rotation, by what way, when and why, fit to stand in a record: short, and without any secret."""

from datetime import datetime
from typing import Final

from provisioner.domain.model import Asking, Trigger
from provisioner.domain.scrub import REDACTED, scrub
from provisioner.domain.spelling import escaped

LONGEST_BY: Final = 100
LONGEST_VIA: Final = 20
LONGEST_REASON: Final = 300
"""Characters as a tag or metadata spells them: a letter is one, a space three, a letter with an accent six."""
_MORE: Final = "…"
_MOST_ROUNDS: Final = 5


def asking_of(trigger: Trigger) -> Asking | None:
    """Give what a record keeps of who asked; None when nothing is known of it."""
    return asking(by=trigger.by, via=trigger.via, at=trigger.at, reason=trigger.reason)


def asking(*, by: str | None, via: str | None, at: datetime | None, reason: str | None) -> Asking | None:
    """Give it without what looks like a secret, and cut to what every store has room for; given that, it is the same.

    So a record in which somebody has written more than that is put right like any other.
    """
    fit = Asking(by=_fit(by, LONGEST_BY), via=_fit(via, LONGEST_VIA), at=at, reason=_fit(reason, LONGEST_REASON))
    return None if fit == Asking() else fit


def _fit(text: str | None, longest: int) -> str | None:
    """Scrub and cut until neither changes anything: either may bring about what the other looks for."""
    for _ in range(_MOST_ROUNDS):
        if not text:
            return None
        before, text = text, _cut(scrub(text, longest=longest), longest)
        if text == before:
            return text
    return REDACTED


def _cut(text: str, longest: int) -> str:
    if len(escaped(text)) <= longest:
        return text
    left, kept = longest - len(escaped(_MORE)), 0
    for letter in text:
        left -= len(escaped(letter))
        if left < 0:
            break
        kept += 1
    return f"{text[:kept].rstrip()}{_MORE}"
