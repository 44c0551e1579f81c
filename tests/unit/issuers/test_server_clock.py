"""How far a server's clock is from ours, and what becomes of times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.issuers.server_clock import ServerClock
from tests.builders import NOW

SECONDS = st.floats(min_value=-100_000, max_value=100_000)
HALF = timedelta(seconds=0.5)
EARLIEST, LATEST = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


def measured(*skews: float, took: float = 0) -> ServerClock:
    """Give a clock that was measured so often, by requests that took so long."""
    clock = ServerClock()
    for skew in skews:
        said = NOW + timedelta(seconds=skew) - HALF
        clock.measure(said, answered_at=NOW + timedelta(seconds=took / 2), took=timedelta(seconds=took))
    return clock


@pytest.mark.parametrize(
    ("skews", "applied"),
    [
        ([], 0),
        ([29.9], 0),
        ([30], 30),
        ([-30], -30),
        ([-29.9], 0),
        ([31, 29, 27], 31),
        ([31, 25], 0),
        ([120, 124.9, 115.1], 120),
        ([120, 125.1], 125),
        ([120, 0], 0),
        ([120, -120], -120),
        ([29, 31], 31),
    ],
)
def test_skew_is_applied_from_30_s_on_and_steadily(skews: list[float], applied: int) -> None:
    """It counts from 30 s on, changes by more than 5 s or not at all, and is none below."""
    assert measured(*skews).skew == timedelta(seconds=applied)


@pytest.mark.parametrize(
    ("skew", "took", "applied"), [(29, 60, 0), (59, 60, 0), (60, 60, 60), (39, 20, 0), (40, 20, 40)]
)
def test_what_a_slow_request_took_is_in_doubt(skew: float, took: float, applied: int) -> None:
    """A server that takes a minute may have written its Date at any moment of it: that is no skew."""
    assert measured(skew, took=took).skew == timedelta(seconds=applied)


@given(skew=SECONDS, took=st.floats(min_value=0, max_value=200))
def test_clock_that_is_right_is_never_found_wrong(skew: float, took: float) -> None:
    """However long a request takes, and whenever in it the Date was written: two clocks that agree have no skew."""
    written = timedelta(seconds=took * (abs(skew) % 1))
    clock = ServerClock()
    said = (NOW + written).replace(microsecond=0)
    clock.measure(said, answered_at=NOW + timedelta(seconds=took), took=timedelta(seconds=took))
    assert clock.skew == timedelta(0)


@given(skew=SECONDS, moment=st.timedeltas(timedelta(days=-36500), timedelta(days=36500)).map(NOW.__add__))
def test_there_and_back(skew: float, moment: datetime) -> None:
    """A time that is turned into the server's and back is the same, and ahead of ours by the skew in between."""
    clock = measured(skew)
    assert clock.ours(clock.theirs(moment)) == moment
    assert clock.theirs(moment) - moment == clock.skew


@given(skew=SECONDS, moment=st.sampled_from([EARLIEST, LATEST]))
def test_end_of_the_calendar(skew: float, moment: datetime) -> None:
    """At the ends of the calendar a time stays what it is rather than fail; none is none."""
    clock = measured(skew)
    assert moment in {clock.ours(moment), clock.theirs(moment)}
    assert clock.ours(None) is None
