"""A follower whose wish was overtaken: what it made in vain goes at once, whatever else the leader has left to do."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.consumers import Workload, WorkloadKind
from provisioner.domain.events import Decided
from provisioner.domain.model import Trigger
from tests.builders import DAY, MINUTE, a_token
from tests.fakes.faults import Fault
from tests.fakes.silence import unmoved_by
from tests.protocol.test_replicas import once_at
from tests.rig import Died, Rig, provisioned
from tests.unit.engine.test_any_replica import WISH, Replica, always_leads

APP = Workload(kind=WorkloadKind.DEPLOYMENT, name="app")


def with_a_copy() -> Rig:
    """Give a rig whose leader has a copy to write, too."""
    rig = provisioned(replicas=2)
    rig.with_copy()
    rig.reconcile()
    return rig


def with_a_workload() -> Rig:
    """Give a rig whose leader has a workload to restart."""
    rig = Rig(replace(a_token(), on_rotate=(APP,)), replicas=2)
    rig.workloads.add(APP)
    rig.reconcile()
    rig.clock.advance(DAY)
    rig.reconcile()
    return rig


def dies_after(rig: Rig, operation: str, work: Callable[[], object]) -> None:
    """Let a process die right after a call."""
    is_over = False

    def interfere(called: str) -> None:
        nonlocal is_over
        if is_over:
            raise Died
        is_over = called == operation

    rig.watch(interfere)
    with pytest.raises(Died):
        work()
    rig.watch(unmoved_by)


@pytest.mark.parametrize("made", [with_a_copy, with_a_workload])
@pytest.mark.parametrize("operation", ["create", "prove", "write"])
def test_the_leader_dies_right_after_its_commit(made: Callable[[], Rig], operation: str) -> None:
    """The wish is done all the same, and the token that lost is revoked by who made it, before the leader's copies."""
    rig = made()
    rig.clock.advance(20 * DAY)
    leader = Replica(rig, leads=always_leads, replica=1)
    rig.watch(once_at(operation, 1, lambda: dies_after(rig, "write", leader.run_pass)))
    result = Replica(rig).rotate()
    assert (result.done, result.error) == (True, None)
    assert len(rig.live_ids()) == 3, "the one that lost lives on"
    assert [event.step for event in rig.events if isinstance(event, Decided)][-1] == "rest"
    rig.settle()


def test_what_was_made_in_vain_goes_before_what_is_the_leaders() -> None:
    """An older token, whose end has come at once and is the leader's, stands in no way, and stays."""
    rig = provisioned(replace(a_token(), overlap=timedelta(0)), replicas=2)
    leader = Replica(rig, leads=always_leads, replica=1)
    rig.watch(once_at("create", 1, lambda: dies_after(rig, "write", leader.rotate)))
    result = Replica(rig).rotate()
    assert (result.done, result.already) == (True, True)
    assert rig.live_ids() == {"token-1", rig.current_id}
    rig.settle()


def test_a_clock_that_is_behind_keeps_no_leaked_token_alive() -> None:
    """Whoever finishes what another replica has begun need not wait until its clock comes to the commit."""
    rig = provisioned(replicas=2)
    rig.issuer.faults.add("revoke", Fault.REFUSED)
    wish = replace(WISH, compromised=True)
    assert Replica(rig).rotate(wish).still_live == ("token-1",)
    rig.clocks[1].skew = -10 * MINUTE
    assert Replica(rig, leads=always_leads, replica=1).run_pass().revoked == ("token-1",)


@pytest.mark.parametrize("leads", [True, False])
def test_a_token_that_another_s_compromised_wish_has_revoked_is_not_waited_for(*, leads: bool) -> None:
    """Whoever was asked sees that it was overtaken, and begins anew, long before the time for a proof is over."""
    rig = provisioned(replicas=2, proves_by_use=True)
    other, began = Replica(rig, replica=1), rig.clock.monotonic()
    leaked = Trigger(request_id="leaked", compromised=True)
    rig.watch(once_at("prove", 2, lambda: other.rotate(leaked)))
    result = Replica(rig, leads=lambda: leads).rotate()
    assert (result.done, result.error) == (True, None)
    assert rig.clock.monotonic() - began < 30
    rig.settle()
