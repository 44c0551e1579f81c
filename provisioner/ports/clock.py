"""Time as the engine sees it."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits. Only implementations of this port read a clock or sleep."""

    def now(self) -> datetime:
        """Give the time of day: aware, UTC. It may jump."""

    def monotonic(self) -> float:
        """Give seconds since some fixed moment; never goes backwards: for deadlines."""

    def sleep(self, duration: timedelta) -> None:
        """Wait that long, or less when the process is asked to stop."""
