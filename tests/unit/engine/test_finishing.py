"""Work begins no further step while another process leads, and waits no longer than its lease lasts."""

from dataclasses import replace
from datetime import timedelta

from provisioner.domain.memory import Memory
from provisioner.domain.steps import Mint
from provisioner.engine.gather import Listings
from provisioner.engine.reconcile import reconcile
from tests.rig import Rig


def test_nothing_is_begun_while_another_process_leads() -> None:
    """It looks and says what it would do; once it leads, it does it."""
    rig, leads = Rig(), False
    world = replace(rig.worlds[0], may_act=lambda: leads)
    outcome = reconcile(world, rig.token, Listings(world), memory=Memory())
    assert isinstance(outcome.decision.step, Mint)
    assert (outcome.changed, outcome.failures) == (0, ())
    assert rig.issuer.faults.calls["create"] == 0
    leads = True
    assert reconcile(world, rig.token, Listings(world), memory=outcome.memory).changed == 1


def test_a_proof_that_is_under_way_is_given_up_when_the_lease_ends() -> None:
    """The attempt fails, and nothing is stored; whoever leads next sweeps its token."""
    rig = Rig(proves_by_use=True)
    world = replace(rig.worlds[0], leads_until=lambda: 10.0)
    rig.issuer.activation_lag = timedelta(minutes=1)
    outcome = reconcile(world, rig.token, Listings(world), memory=Memory())
    assert "did not come to work in time" in outcome.failures[0]
    assert rig.clock.monotonic() == 10.0
    assert rig.store.faults.calls["write"] == 0


def test_at_a_wish_the_end_of_the_lease_ends_nothing_and_being_asked_to_leave_does() -> None:
    """The same proof lasts until the token works; a process that leaves gives it up."""
    rig = Rig(proves_by_use=True)
    world = replace(rig.worlds[0], leads_until=lambda: 10.0).at_a_wish()
    rig.issuer.activation_lag = timedelta(minutes=1)
    assert reconcile(world, rig.token, Listings(world), memory=Memory()).rotated
    rig = Rig(proves_by_use=True)
    world = replace(rig.worlds[0], finish_by=lambda: 10.0).at_a_wish()
    rig.issuer.activation_lag = timedelta(minutes=1)
    assert not reconcile(world, rig.token, Listings(world), memory=Memory()).rotated
    assert rig.clock.monotonic() == 10.0
