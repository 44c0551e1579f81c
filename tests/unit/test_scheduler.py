"""The scheduler by itself: when it wakes, and that it can always be stopped."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Event, Thread

import pytest

from provisioner import scheduler as scheduler_module
from provisioner.runtime.clock import SystemClock
from provisioner.scheduler import Scheduler

PATIENCE = 10
HOUR = timedelta(hours=1)


def test_moment_that_comes_before_its_work_has_ended_is_kept() -> None:
    """Who asks to be woken at once, and takes a while to return, is woken: there may be no other moment for long."""
    again, woken = Event(), []

    def wake(name: str) -> None:
        woken.append(name)
        if len(woken) == 1:
            scheduler.wake_at(name, SystemClock().now())
            again.wait(PATIENCE)
        again.set()

    scheduler = Scheduler(wake=wake, drift=lambda: None, concurrency=2)
    scheduler.start(SystemClock().now() + HOUR, HOUR)
    scheduler.wake_at("telegraf", SystemClock().now())
    is_kept = again.wait(PATIENCE / 5)
    again.set()
    scheduler.stop()
    assert is_kept


class Work:
    """What is woken: it waits inside until it may go on, and then asks to be woken again, as the daemon does."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(wake=self.wake, drift=self.drift, concurrency=1)
        self.woken, self.may_go_on, self.done = Event(), Event(), Event()

    def wake(self, name: str) -> None:
        """Be at work on a name."""
        self.woken.set()
        self.may_go_on.wait(PATIENCE)
        self.scheduler.wake_at(name, SystemClock().now() + HOUR)
        self.scheduler.forget(name)
        self.done.set()

    def drift(self) -> None:
        """Do nothing."""


@pytest.fixture
def work() -> Iterator[Work]:
    """Give work that has begun; it is let go at the end."""
    work = Work()
    work.scheduler.start(SystemClock().now() + HOUR, HOUR)
    work.scheduler.wake_at("telegraf", SystemClock().now())
    assert work.woken.wait(PATIENCE)
    yield work
    work.may_go_on.set()


def test_stopping_waits_for_work_that_asks_to_be_woken_again(work: Work) -> None:
    """Work that sets its next moment while the scheduler stops does not hang with it."""
    stopping = Thread(target=work.scheduler.stop, daemon=True)
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive(), "it must wait for the work"
    work.may_go_on.set()
    assert work.done.wait(PATIENCE), "the work hangs"
    stopping.join(PATIENCE)
    assert not stopping.is_alive()


def test_drift_check_asked_for_while_one_is_under_way_is_kept() -> None:
    """A new configuration is looked at once, although a check of the old one takes its time."""
    first, second, may_end = Event(), Event(), Event()

    def drift() -> None:
        (second if first.is_set() else first).set()
        may_end.wait(PATIENCE)

    scheduler = Scheduler(wake=lambda _: None, drift=drift, concurrency=1)
    scheduler.start(SystemClock().now(), HOUR)
    assert first.wait(PATIENCE)
    scheduler.drift_every(SystemClock().now(), HOUR)
    is_kept = second.wait(PATIENCE / 5)
    may_end.set()
    scheduler.stop()
    assert is_kept


def test_drift_check_comes_at_its_interval_whatever_the_clock_says() -> None:
    """A clock that was years ahead when the daemon started, and is put right, delays no drift check."""
    drifted = Event()
    scheduler = Scheduler(wake=lambda _: None, drift=drifted.set, concurrency=1)
    scheduler.start(SystemClock().now() + timedelta(days=1400), timedelta(seconds=1))
    comes = drifted.wait(PATIENCE)
    scheduler.stop()
    assert comes


def test_it_beats_while_it_hands_out_work_also_when_all_its_threads_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that hangs is no reason to say that it is dead; a loop that hands out nothing is."""
    monkeypatch.setattr(scheduler_module, "_BEAT_EVERY", timedelta(seconds=0.02))
    go_on, clock = Event(), SystemClock()

    def hang(_: str) -> None:
        go_on.wait(2 * PATIENCE)

    scheduler = Scheduler(wake=hang, drift=lambda: None, concurrency=1)
    scheduler.start(clock.now() + HOUR, HOUR)
    for name in ("one", "two", "three", "four"):
        scheduler.wake_at(name, clock.now())
    scheduler._beaten_at -= 3600
    assert not scheduler.is_beating()
    for _ in range(PATIENCE * 25):
        if scheduler.is_beating():
            break
        go_on.wait(0.02)
    has_beaten = scheduler.is_beating()
    scheduler._scheduler.pause()
    go_on.wait(0.3)  # a beat that was handed out before comes to its end
    scheduler._beaten_at -= 3600
    go_on.wait(0.2)
    beats_on = scheduler.is_beating()
    scheduler._scheduler.resume()
    go_on.set()
    scheduler.stop()
    assert (has_beaten, beats_on) == (True, False)
