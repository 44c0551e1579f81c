"""Standings: a look gives way to what was seen since, but to nothing that a wrong clock has dated."""

from datetime import timedelta

import pytest

from provisioner.engine.standings import Standings
from tests.builders import HOUR, MINUTE, SECOND
from tests.fakes.clock import FakeClock
from tests.fakes.view import a_status
from tests.rig import SkewedClock


@pytest.mark.parametrize(
    ("ahead", "seen_after", "gives_way"),
    [(timedelta(0), -SECOND, False), (timedelta(0), SECOND, True), (HOUR, -MINUTE, False), (HOUR, SECOND, False)],
)
def test_a_look_gives_way(ahead: timedelta, seen_after: timedelta, gives_way: bool) -> None:  # noqa: FBT001  # a column of the table
    """What was seen before the look began is replaced by it, and so is what the clock dated an hour ahead."""
    true = FakeClock()
    clock, old, new = SkewedClock(true), a_status("telegraf"), a_status("telegraf")
    standings = Standings(clock)
    since = true.now() + MINUTE
    true.advance(MINUTE + seen_after)
    clock.skew = ahead
    standings.note([old])
    clock.skew = timedelta(0)
    true.advance(2 * SECOND)
    standings.note([new], since)
    seen = standings.of("telegraf")
    assert seen is not None
    assert (seen.status is old) is gives_way
