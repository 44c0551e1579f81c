"""How fast a store may be written to: one allowance for all tokens, waited for through the Clock port."""

from datetime import timedelta
from threading import Lock

from provisioner.ports.clock import Clock


class Pace:
    """Lets ``per_second`` calls through, a second's worth of them at once. Safe for several threads."""

    def __init__(self, per_second: float, clock: Clock, *, longest: timedelta) -> None:
        """Take how fast, and how long one call may have to wait at most."""
        self._gap, self._clock, self._longest = 1 / per_second, clock, longest.total_seconds()
        self._burst = max(per_second - 1, 0) * self._gap
        self._lock = Lock()
        self._next = float("-inf")

    def wait(self) -> bool:
        """Wait for our turn; False, at once, when that would take longer than it may."""
        with self._lock:
            now = self._clock.monotonic()
            turn = max(self._next, now - self._burst)
            if turn - now > self._longest:
                return False
            self._next = turn + self._gap
        if turn > now:
            self._clock.sleep(timedelta(seconds=turn - now))
        return True
