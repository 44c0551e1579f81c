"""The checkers can fail: whichever rule of the protocol is left out, one of them notices."""

import pytest

from provisioner.engine import apply
from tests.simulation.mutation import Mutation, Schedules
from tests.simulation.mutations import MUTATIONS

RULES = ("I1", "I2", "I3", "I4", "I5", "I6", "I8", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10")
SCHEDULES = tuple(dict.fromkeys(mutation.where for mutation in MUTATIONS))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_rule_that_is_left_out_is_noticed(mutation: Mutation) -> None:
    """Its schedules break a rule of the checkers, and one that it may break."""
    breach = mutation.hunt()
    assert breach is not None, f"{mutation.where} did not notice: {mutation.rule}"
    assert breach.rule in mutation.caught_by, breach.message


@pytest.mark.parametrize("schedules", SCHEDULES, ids=str)
def test_whole_protocol_passes_the_same_schedules(schedules: Schedules) -> None:
    """With no rule left out nothing is broken: it is the mutation that was noticed, and not the schedule."""
    assert schedules.first_breach() is None


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_the_checkers_is_needed(rule: str) -> None:
    """Each is the only one that may notice at least one mutation."""
    assert any(mutation.caught_by == {rule} for mutation in MUTATIONS)


def test_mutations_have_names_of_their_own() -> None:
    """No function in the list hides another."""
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


def test_mutation_is_taken_out_again() -> None:
    """Whatever happens while it is planted, the original stands in its place afterwards."""
    (mutation,) = (mutation for mutation in MUTATIONS if mutation.name == "no fence")
    original = apply._fence
    with mutation.planted():
        assert vars(apply)["_fence"] is not original
    assert vars(apply)["_fence"] is original
    with pytest.raises(LookupError), mutation.planted():
        raise LookupError
    assert vars(apply)["_fence"] is original
