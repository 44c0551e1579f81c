"""Work begins no further step once it must have ended: because the process leaves, or because its lease ends."""

from dataclasses import replace
from datetime import timedelta

from provisioner.domain.memory import Memory
from provisioner.domain.steps import Mint
from provisioner.engine.gather import Listings
from provisioner.engine.reconcile import reconcile
from tests.rig import Rig


def test_nothing_is_begun_after_the_moment_to_finish_by() -> None:
    """It looks and says what it would do; before the moment it does it."""
    rig = Rig()
    moment = rig.clock.monotonic() + 10
    world = replace(rig.worlds[0], finish_by=lambda: moment)
    rig.clock.advance(timedelta(seconds=10))
    outcome = reconcile(world, rig.token, Listings(world), memory=Memory())
    assert isinstance(outcome.decision.step, Mint)
    assert (outcome.changed, outcome.failures) == (0, ())
    assert rig.issuer.faults.calls["create"] == 0
    moment = rig.clock.monotonic() + 10
    assert reconcile(world, rig.token, Listings(world), memory=outcome.memory).changed == 1


def test_a_proof_that_is_under_way_is_given_up_when_the_lease_ends() -> None:
    """The attempt fails, and nothing is stored; whoever leads next sweeps its token."""
    rig = Rig(proves_by_use=True)
    world = replace(rig.worlds[0], finish_by=lambda: 10.0)
    rig.issuer.activation_lag = timedelta(minutes=1)
    outcome = reconcile(world, rig.token, Listings(world), memory=Memory())
    assert "did not come to work in time" in outcome.failures[0]
    assert rig.clock.monotonic() == 10.0
    assert rig.store.faults.calls["write"] == 0
