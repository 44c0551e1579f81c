"""The soak runs every seed, and hides none that fails."""

import pytest

from tests.simulation.soak import failures, main


def _breaks_at_seven(seed: int) -> None:
    if seed == 7:
        raise AssertionError("I1: something is dead\na trace")
    if seed == 8:
        raise LookupError(seed)


def test_seeds_that_fail_are_told() -> None:
    """Both kinds count: a rule that is broken, and an error of any other kind."""
    assert list(failures(range(10), _breaks_at_seven)) == [
        (7, "AssertionError: I1: something is dead"),
        (8, "LookupError: 8"),
    ]


def test_soak_says_how_much_ran(capsys: pytest.CaptureFixture[str]) -> None:
    """A run without a failure ends with 0, and tells its seeds."""
    assert main(["3", "10"]) == 0
    assert capsys.readouterr().out == "3 schedules ran, seeds 10 to 12: 0 failed\n"
