"""Every schedule within bounds."""

import pytest

from tests.simulation.exhaustive import BOUNDS, SCENARIOS, STAGED, STAGED_BOUNDS, Bound, Scenario, explore

SMALL = (
    Bound(name="one switch, one death", switches=1, deaths=1),
    Bound(name="one after the other, one fault", switches=0, faults=1, slow=True),
)
_FOR_EVER = 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_schedule_within_the_bound_breaks_an_invariant(scenario: Scenario, bound: Bound) -> None:
    """All of them are run, and every one comes to rest with one live token, the stored one."""
    explored = explore(scenario, bound)
    assert explored.states > 400
    assert explored.ends > 30


@pytest.mark.parametrize("bound", STAGED_BOUNDS, ids=lambda bound: bound.name)
def test_no_schedule_of_a_write_in_stages_breaks_an_invariant(bound: Bound) -> None:
    """The same where every write is several requests to AWS, each of which others may come between."""
    explored = explore(STAGED, bound)
    assert explored.states > 400
    assert explored.ends > 30


@pytest.mark.parametrize("bound", SMALL, ids=lambda bound: bound.name)
def test_what_is_put_back_goes_on_as_it_would_have(bound: Bound) -> None:
    """A search that puts back wherever it can comes to the same states and ends as one that always begins anew."""
    put_back = explore(SCENARIOS[0], bound, few=1)
    assert put_back == explore(SCENARIOS[0], bound, few=_FOR_EVER)
    assert put_back.ends > 30
