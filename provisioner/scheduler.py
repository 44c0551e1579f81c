"""Wakes names at their moments. APScheduler behind a small class; no rule lives here."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

_DRIFT_JOB = "drift"
_AT_ONCE = 2
"""Work sets its next moment before it has ended: with one at a time, a moment that comes at once would be dropped."""


class Scheduler:
    """Calls ``wake(name)`` at that name's moment, and ``drift()`` at an interval; each on a thread of a pool.

    A moment that has passed, however long ago (a suspended machine, a jump of the clock), is made up for at once.
    """

    def __init__(self, *, wake: Callable[[str], None], drift: Callable[[], None], concurrency: int) -> None:
        """Take what to call; ``concurrency`` names are woken at a time at most, beside the drift check."""
        self._wake, self._drift = wake, drift
        self._lock, self._stopping = Lock(), False
        self._pool = ThreadPoolExecutor(concurrency + 1)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": self._pool},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self, now: datetime, interval: timedelta) -> None:
        """Begin: the first drift check runs at once."""
        self._scheduler.start()
        self.drift_every(now, interval)

    def drift_every(self, now: datetime, interval: timedelta) -> None:
        """Run the drift check now and then at that interval."""
        trigger = IntervalTrigger(seconds=max(1, int(interval.total_seconds())), timezone=UTC)
        self._scheduler.add_job(self._drift, trigger, id=_DRIFT_JOB, next_run_time=now, replace_existing=True)

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
        self._scheduler.remove_all_jobs()
        self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=True)
