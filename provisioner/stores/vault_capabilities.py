"""Where a write would be accepted: one question for every path seen, whose answer is known for five minutes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from threading import Lock
from typing import Final

from provisioner.ports.clock import Clock

KEPT: Final = timedelta(minutes=5)
WRITING: Final = frozenset({"create", "update"})
"""A first version needs the one, every later version the other."""
DESCRIBING: Final = frozenset({"create", "patch", "update"})
"""Custom metadata needs the first to begin, the second to be merged, the third where two begin at once."""

Ask = Callable[[Sequence[str]], Mapping[str, object]]
"""Asks what we may do at those paths: lists of capabilities by path."""


class Capabilities:
    """Remembers what we may do. Safe for several threads: one asks, the others wait for its answer."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        """Take how to ask; nothing is asked yet."""
        self._ask, self._clock = ask, clock
        self._seeing, self._asking = Lock(), Lock()
        self._seen: set[str] = set()
        self._held: Mapping[str, object] = {}
        self._fresh_until: float | None = None

    def note(self, path: str) -> None:
        """Include a path in the next question."""
        with self._seeing:
            self._seen.add(path)

    def lacking(self, path: str, needed: frozenset[str] = WRITING) -> tuple[str, ...]:
        """Give the capabilities that a write needs at ``path`` and we have not.

        What is lacking is asked for again each time, so that a mended policy is seen at once.
        """
        self.note(path)
        with self._asking:
            now = self._clock.monotonic()
            fresh = self._fresh_until is not None and now < self._fresh_until
            if fresh and not _lacking(self._held.get(path), needed):
                return ()
            with self._seeing:
                paths = sorted(self._seen)
            self._held = self._ask(paths)
            self._fresh_until = now + KEPT.total_seconds()
            return _lacking(self._held.get(path), needed)

    def forget(self) -> None:
        """Ask anew next time: a write was refused."""
        with self._asking:
            self._fresh_until = None


def _lacking(capabilities: object, needed: frozenset[str]) -> tuple[str, ...]:
    held = set(capabilities) if isinstance(capabilities, list) else set()
    return () if "root" in held else tuple(sorted(needed - held))
