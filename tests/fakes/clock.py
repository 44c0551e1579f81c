"""A clock that stands still until it is told to go on."""

from collections.abc import Callable
from datetime import datetime, timedelta

from tests.builders import NOW
from tests.fakes.silence import unmoved


class FakeClock:
    """The Clock port by hand: waiting takes no time, and moves it on."""

    def __init__(self, now: datetime = NOW) -> None:
        self.current = now
        self.elapsed = 0.0
        self.sleeps: list[timedelta] = []
        self.on_sleep: Callable[[], None] = unmoved

    def now(self) -> datetime:
        """Give the time it was set to."""
        return self.current

    def monotonic(self) -> float:
        """Give the seconds it was moved on by."""
        return self.elapsed

    def sleep(self, duration: timedelta) -> None:
        """Move on by that long."""
        self.sleeps.append(duration)
        self.advance(duration)
        self.on_sleep()

    def advance(self, duration: timedelta) -> None:
        """Move on."""
        self.current += duration
        self.elapsed += duration.total_seconds()
