"""Every schedule within bounds."""

import pytest

from tests.simulation.exhaustive import BOUNDS, SCENARIOS, Bound, Scenario, explore


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_schedule_within_the_bound_breaks_an_invariant(scenario: Scenario, bound: Bound) -> None:
    """All of them are run, and every one comes to rest with one live token, the stored one."""
    explored = explore(scenario, bound)
    assert explored.states > 400
    assert explored.ends > 30
