"""How fast a store may be written to."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from provisioner.stores.pace import Pace
from tests.builders import MINUTE, SECOND
from tests.fakes.clock import FakeClock


def test_a_second_s_worth_goes_at_once_and_the_rest_in_turn(clock: FakeClock) -> None:
    """Five may go at once, and each further one a fifth of a second later."""
    pace = Pace(5, clock, longest=MINUTE)
    assert all(pace.wait() for _ in range(5))
    assert clock.sleeps == []
    assert all(pace.wait() for _ in range(10))
    assert clock.elapsed == pytest.approx(2)


def test_rest_earns_a_second_s_worth_and_no_more(clock: FakeClock) -> None:
    """An hour without writes allows no burst of an hour's writes."""
    pace = Pace(5, clock, longest=MINUTE)
    clock.advance(timedelta(hours=1))
    assert all(pace.wait() for _ in range(6))
    assert clock.sleeps == [pytest.approx(timedelta(seconds=0.2), abs=timedelta(milliseconds=1))]


def test_slower_than_one_a_second(clock: FakeClock) -> None:
    """Half a write a second: one goes, the next two seconds later."""
    pace = Pace(0.5, clock, longest=MINUTE)
    assert all(pace.wait() for _ in range(3))
    assert clock.elapsed == pytest.approx(4)


def test_who_would_wait_too_long_is_told_at_once_and_takes_no_turn(clock: FakeClock) -> None:
    """A refused call leaves the allowance to the others."""
    pace = Pace(1, clock, longest=timedelta(seconds=0.5))
    assert pace.wait()
    assert [pace.wait() for _ in range(3)] == [False] * 3
    assert clock.sleeps == []
    clock.advance(SECOND)
    assert pace.wait()


def test_many_threads_share_one_allowance() -> None:
    """However many wait at the same moment, each gets a turn of its own."""

    class Standing(FakeClock):
        """A clock that stands still while others wait."""

        def sleep(self, duration: timedelta) -> None:
            self.sleeps.append(duration)

    clock = Standing()
    pace = Pace(10, clock, longest=MINUTE)
    with ThreadPoolExecutor(max_workers=16) as pool:
        assert all(pool.map(lambda _: pace.wait(), range(60)))
    waited = sorted(duration.total_seconds() for duration in clock.sleeps)
    assert waited == [pytest.approx(number / 10, abs=1e-5) for number in range(1, 51)]
