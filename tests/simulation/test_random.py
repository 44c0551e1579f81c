"""Some thousand schedules, each from a seed."""

import pytest

from tests.simulation.walk import run

BATCHES, EACH = 10, 300
LED_BATCHES, LED_EACH = 4, 150


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_schedule_breaks_an_invariant(batch: int) -> None:
    """Whatever the seed says, every invariant holds at every call, and in the end only the stored token lives."""
    for seed in range(batch * EACH, (batch + 1) * EACH):
        run(seed)


@pytest.mark.parametrize("batch", range(LED_BATCHES))
def test_no_schedule_of_a_leader_and_of_wishes_at_followers_breaks_an_invariant(batch: int) -> None:
    """The lease changes hands at any moment; whoever does not have it acts for wishes alone."""
    for seed in range(batch * LED_EACH, (batch + 1) * LED_EACH):
        run(seed, is_led=True)
