"""Work begins no further step while another process leads, and waits no longer than its lease lasts."""

from dataclasses import replace
from datetime import timedelta

from provisioner.domain import events
from provisioner.domain.consumers import Workload, WorkloadKind
from provisioner.domain.memory import Memory
from provisioner.domain.model import Trigger
from provisioner.domain.steps import Mint
from provisioner.engine.gather import Listings
from provisioner.engine.recall import Recall
from provisioner.engine.reconcile import reconcile
from provisioner.engine.service import Service
from tests.builders import DAY, HOUR, a_token
from tests.fakes.silence import unmoved_by
from tests.fakes.workloads import a_webhook
from tests.rig import Rig, provisioned

DEPLOYMENT = Workload(kind=WorkloadKind.DEPLOYMENT, namespace="telegraf", name="telegraf")


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


def test_a_process_that_was_stopped_in_the_preflight_makes_no_token() -> None:
    """Another one may lead by the time it wakes up: what is begun then would be begun twice."""
    rig, leads = Rig(), True

    def stopped(operation: str) -> None:
        nonlocal leads
        leads = leads and operation != "preflight"

    rig.watch(stopped)
    world = replace(rig.worlds[0], may_act=lambda: leads)
    outcome = reconcile(world, rig.token, Listings(world), memory=Memory())
    assert "this process leads no more" in outcome.failures[0]
    assert (rig.issuer.faults.calls["create"], rig.store.faults.calls["preflight"]) == (0, 1)
    rig.watch(unmoved_by)
    rig.settle()


def test_a_process_that_was_stopped_before_a_revocation_revokes_nothing() -> None:
    """It has looked afresh and is stopped there: whoever leads next looks for itself."""
    rig, leads = provisioned(), True
    rig.reconcile(Trigger(request_id="by hand"))
    rig.clock.advance(2 * HOUR)

    def stopped(_: str) -> None:
        nonlocal leads
        leads = not any(isinstance(event, events.Decided) and event.step == "revoke" for event in rig.events)

    rig.watch(stopped)
    world = replace(rig.worlds[0], may_act=lambda: leads)
    outcome = reconcile(world, rig.token, Listings(world), memory=rig.memories[0])
    assert "this process leads no more" in outcome.failures[0]
    assert (outcome.revoked, rig.issuer.faults.calls["revoke"]) == ((), 0)
    rig.watch(unmoved_by)
    rig.settle()


def test_nothing_new_is_begun_once_somebody_asked_us_to_leave() -> None:
    """No token is made for a name that is due; what the next process finds to do, it does."""
    rig = Rig()
    world = replace(rig.worlds[0], may_begin=lambda: False)
    outcome = reconcile(world, rig.token, Listings(world), memory=Memory())
    assert isinstance(outcome.decision.step, Mint)
    assert (outcome.changed, outcome.failures, rig.issuer.faults.calls["create"]) == (0, (), 0)
    service = Service(world, (rig.token,), instance="prod", concurrency=1, recall=Recall())
    assert service.run_pass() == ()
    (result,) = service.rotate((rig.token,), Trigger(request_id="by hand"))
    assert (result.done, result.error) == (False, "this process is stopping: ask the next one")
    assert not any(isinstance(event, events.PassFinished) and event.whole for event in rig.events)


def test_what_was_made_is_given_back_by_a_process_that_leaves() -> None:
    """Asked to leave in mid-rotation, with a token that never comes to work: it is revoked before we go."""
    rig, leaves = Rig(proves_by_use=True), False

    def asked(operation: str) -> None:
        nonlocal leaves
        leaves = leaves or operation == "prove"

    rig.watch(asked)
    rig.issuer.activation_lag = DAY
    rig.around[0] = lambda world: replace(
        world, finish_by=lambda: 20.0 if leaves else None, may_begin=lambda: not leaves
    )
    outcome = rig.reconcile()
    assert "did not come to work in time" in outcome.failures[0]
    assert (len(outcome.revoked), rig.live_ids(), rig.issuer.faults.calls["create"]) == (1, set(), 1)


def test_consumers_of_a_rotation_that_a_leaving_process_finished_are_for_the_next_one() -> None:
    """A webhook that hangs for ten seconds, and another, would outlast the time that we have to leave."""
    rig, leaves = Rig(a_token(on_rotate=(a_webhook(), DEPLOYMENT))), False
    rig.workloads.add(DEPLOYMENT)

    def asked(operation: str) -> None:
        nonlocal leaves
        leaves = leaves or operation == "prove"

    rig.watch(asked)
    world = replace(rig.worlds[0], may_begin=lambda: not leaves)
    outcome = reconcile(world, rig.token, Listings(world), memory=Memory())
    assert (outcome.changed, outcome.failures) == (1, ())
    assert rig.record is not None
    assert (rig.notifier.taken, rig.workloads.there[DEPLOYMENT].generation) == ([], 1)
    rig.watch(unmoved_by)
    rig.crash()
    rig.reconcile()
    assert (len(rig.notifier.taken), rig.workloads.there[DEPLOYMENT].generation) == (1, 2)
