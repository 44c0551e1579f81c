"""Faults that a fake is told to have: which call, and in which way."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from tests.fakes.silence import unmoved_by


class Fault(StrEnum):
    """The ways in which one call can go wrong."""

    BEFORE = "error before the effect"
    REFUSED = "a refusal"
    AFTER = "the effect, and no answer"
    LATE = "no answer, and the effect lands when it is delivered"
    UNREADABLE = "the effect, and an answer that cannot be read"
    SLOW = "the effect, and an answer after every deadline"


SLOW_BY: Final = timedelta(minutes=11)
"""Longer than the default rotation time-out."""


@dataclass(slots=True)
class Faults:
    """Faults to come, by operation, first in first out; and how often each operation was called."""

    queues: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    before_call: Callable[[str], None] = field(default=unmoved_by)

    def add(self, operation: str, *faults: Fault) -> None:
        """Let the next calls of an operation go wrong."""
        self.queues.setdefault(operation, []).extend(faults)

    def next(self, operation: str) -> Fault | None:
        """Count a call, and give the way in which it goes wrong, if it does."""
        self.before_call(operation)
        self.calls[operation] += 1
        queue = self.queues.get(operation)
        return queue.pop(0) if queue else self.always.get(operation)
