"""A process that dies before any of its calls, and so also after any effect: the next one puts everything right."""

import pytest

from provisioner.domain.model import Trigger
from tests.builders import DAY, HOUR
from tests.rig import Rig, provisioned

MOST_CALLS = 40


@pytest.mark.parametrize("by_use", [True, False])
def test_death_at_every_call_of_first_provisioning(*, by_use: bool) -> None:
    """Wherever the first provisioning dies, in the end one token lives, and it is the stored one."""
    died = 0
    for count in range(1, MOST_CALLS):
        rig = Rig(proves_by_use=by_use)
        died += rig.reconcile_and_die_before("any", count)
        rig.settle()
    assert died >= 8, "list twice, read, preflight, create, prove, write, read back"


@pytest.mark.parametrize("by_use", [True, False])
@pytest.mark.parametrize("compromised", [True, False])
def test_death_at_every_call_of_a_rotation(*, by_use: bool, compromised: bool) -> None:
    """Wherever a rotation dies, its predecessor keeps its overlap, and nothing is left over."""
    died = 0
    trigger = Trigger(request_id="now", compromised=compromised)
    for count in range(1, MOST_CALLS):
        rig = provisioned(proves_by_use=by_use)
        died += rig.reconcile_and_die_before("any", count, trigger)
        rig.reconcile(trigger)
        rig.settle()
        assert rig.record is not None
        assert rig.record.has_honoured("now")
    assert died >= 8


def test_death_at_every_call_of_a_sweep() -> None:
    """Wherever a sweep dies, the orphan is gone in the end, and the stored token is untouched."""
    died = 0
    for count in range(1, MOST_CALLS):
        rig = provisioned()
        rig.orphan()
        rig.clock.advance(2 * HOUR)
        died += rig.reconcile_and_die_before("any", count)
        rig.settle()
        assert rig.current_id == "token-1"
    assert died >= 8


def test_death_at_every_call_with_a_copy() -> None:
    """Wherever a rotation with two destinations dies, both hold the same in the end."""
    for count in range(1, MOST_CALLS):
        rig = provisioned()
        rig.with_copy()
        rig.reconcile()
        rig.clock.advance(20 * DAY)
        rig.reconcile_and_die_before("any", count)
        rig.settle()
        primary, copy = (rig.store.document(place.path) for place in rig.token.destinations)
        assert primary == copy


def test_dying_again_and_again() -> None:
    """A process that dies at ever later calls, without a rest in between, never breaks an invariant."""
    rig = Rig()
    for count in range(1, MOST_CALLS):
        rig.reconcile_and_die_before("any", count)
        rig.clock.advance(HOUR / 4)
    rig.settle()
