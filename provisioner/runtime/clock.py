"""The system's clock: the only module that reads time or sleeps."""

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The Clock port over the operating system."""

    def now(self) -> datetime:
        """Give the time of day: aware, UTC."""
        return datetime.now(UTC)  # noqa: TID251  # its one home

    def monotonic(self) -> float:
        """Give seconds since some fixed moment; never goes backwards.

        On Linux those that the machine slept count, too: whoever led before it fell asleep leads no more.
        """
        counts_sleep = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if counts_sleep is None else time.clock_gettime(counts_sleep)  # noqa: TID251  # its one home

    def sleep(self, duration: timedelta) -> None:
        """Wait that long."""
        time.sleep(max(0.0, duration.total_seconds()))  # noqa: TID251  # its one home
