"""Wakes names at their moments. APScheduler behind a small class; no rule lives here."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import TIMEOUT_MAX, Event, Lock, Thread

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from provisioner.runtime.clock import SystemClock

_DRIFT_JOB = "drift"
_BEAT = "beat"
_BEAT_EVERY = timedelta(seconds=5)
_DEAD_AFTER = timedelta(seconds=60)
_AT_ONCE = 2
"""Work sets its next moment before it has ended, and a new configuration asks for a drift check while one of the old is
under way: with one at a time, a moment that comes at once would be dropped."""


class Scheduler:
    """Calls ``wake(name)`` at that name's moment, and ``drift()`` at an interval; each on a thread of a pool.

    A moment that has passed, however long ago (a suspended machine, a jump of the clock), is made up for at once. The
    interval is one of real seconds: a clock that is put back delays no drift check, and that sets the moments anew.
    """

    def __init__(self, *, wake: Callable[[str], None], drift: Callable[[], None], concurrency: int) -> None:
        """Take what to call; ``concurrency`` names are woken at a time at most, beside the drift check."""
        self._wake, self._drift = wake, drift
        self._lock, self._stopping = Lock(), False
        self._seconds, self._changed = TIMEOUT_MAX, Event()
        self._clock = SystemClock()
        self._beaten_at = self._clock.monotonic()
        self._stopped = Event()
        self._pool = ThreadPoolExecutor(concurrency + _AT_ONCE)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": self._pool, _BEAT: ThreadPoolExecutor(1)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self, now: datetime, interval: timedelta) -> None:
        """Begin: the first drift check runs at once."""
        self._scheduler.start()
        self.drift_every(now, interval)
        Thread(target=self._keep_drifting, name="drift", daemon=True).start()
        Thread(target=self._keep_beating, name="beat", daemon=True).start()

    def is_beating(self) -> bool:
        """Tell whether it hands out work: what it is given to do at once, it has done within the last minute."""
        return self._clock.monotonic() - self._beaten_at < _DEAD_AFTER.total_seconds()

    def _keep_beating(self) -> None:
        """Give it something to do now and then, by a clock that nobody sets, beside the threads that work."""
        while not self._stopped.wait(_BEAT_EVERY.total_seconds()):
            with self._lock:
                if not self._stopping:
                    self._scheduler.add_job(self._beat, id=_BEAT, executor=_BEAT, replace_existing=True)

    def _beat(self) -> None:
        self._beaten_at = self._clock.monotonic()

    def drift_every(self, now: datetime, interval: timedelta) -> None:
        """Run the drift check now and then at that interval, also when one is under way."""
        with self._lock:
            self._drift_at(DateTrigger(run_date=now, timezone=UTC))
        self._seconds = min(max(1.0, interval.total_seconds()), TIMEOUT_MAX)
        self._changed.set()

    def _keep_drifting(self) -> None:
        """Run the drift check whenever the interval has gone by, by a clock that nobody sets."""
        while not self._stopping:
            if self._changed.wait(self._seconds):
                self._changed.clear()
                continue
            with self._lock:
                self._drift_at(None)

    def _drift_at(self, trigger: DateTrigger | None) -> None:
        """Run the drift check when the trigger says; without one at once, whatever the time is."""
        if not self._stopping:
            self._scheduler.add_job(self._drift, trigger, id=_DRIFT_JOB, replace_existing=True, max_instances=_AT_ONCE)

    def wake_at(self, name: str, moment: datetime) -> None:
        """Wake ``name`` at that moment, instead of any that was set before; also when it is still at work then."""
        trigger = DateTrigger(run_date=moment, timezone=UTC)
        with self._lock:
            if not self._stopping:
                self._scheduler.add_job(
                    self._wake, trigger, args=[name], id=f"token:{name}", replace_existing=True, max_instances=_AT_ONCE
                )

    def forget(self, name: str) -> None:
        """Wake ``name`` no more."""
        try:
            self._scheduler.remove_job(f"token:{name}")
        except JobLookupError:
            return  # it was not to be woken

    def stop(self) -> None:
        """Start nothing more, and wait for what is running.

        APScheduler itself would wait while it holds the lock that work needs in order to set its next moment; and it
        trips over jobs that it hands out while it is told to stop.
        """
        with self._lock:
            self._stopping = True
            self._changed.set()
            self._stopped.set()
        self._scheduler.remove_all_jobs()
        self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=True)
