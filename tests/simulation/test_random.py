"""A thousand schedules, each from a seed."""

import pytest

from tests.simulation.schedule import run

BATCHES, EACH = 10, 150


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_schedule_breaks_an_invariant(batch: int) -> None:
    """Whatever the seed says, I1 to I7 hold at every call, and in the end only the stored token lives."""
    for seed in range(batch * EACH, (batch + 1) * EACH):
        run(seed)
