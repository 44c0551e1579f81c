"""Some thousand schedules, each from a seed."""

import pytest

from tests.simulation.walk import run

BATCHES, EACH = 10, 300


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_schedule_breaks_an_invariant(batch: int) -> None:
    """Whatever the seed says, every invariant holds at every call, and in the end only the stored token lives."""
    for seed in range(batch * EACH, (batch + 1) * EACH):
        run(seed)
